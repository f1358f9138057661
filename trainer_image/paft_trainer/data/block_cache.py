"""Blocks of rows that were read last, and those that are being read ahead."""

from collections import OrderedDict
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock

from paft_trainer.data.readers.reader import Block

MEMORY_BYTES = 64 * 1024 * 1024
"""Of the blocks that are kept; one that is larger is kept alone."""

READS_AT_ONCE = 8


class BlockCache:
    """Blocks by number. `load`: reads one; called from several threads."""

    def __init__(self, load: Callable[[int], Block]) -> None:
        self._load = load
        self._kept: OrderedDict[int, Block] = OrderedDict()
        self._used = 0
        self._pending: dict[int, Future[Block]] = {}
        self._reads = ThreadPoolExecutor(READS_AT_ONCE, "paft-rows")
        self._lock = Lock()

    def begin(self, numbers: Iterable[int]) -> None:
        """Start to read blocks that will be asked for."""
        for number in numbers:
            if number not in self._kept and number not in self._pending:
                self._pending[number] = self._reads.submit(self._load, number)

    def get(self, number: int) -> Block:
        """One block, read before or now. Raises DataInvalid or StorageError."""
        with self._lock:
            block = self._kept.pop(number, None)
            if block is None:
                pending = self._pending.pop(number, None)
                block = self._load(number) if pending is None else pending.result()
                self._used += block.memory
            self._kept[number] = block
            while self._used > MEMORY_BYTES and len(self._kept) > 1:
                _, oldest = self._kept.popitem(last=False)
                self._used -= oldest.memory
            return block
