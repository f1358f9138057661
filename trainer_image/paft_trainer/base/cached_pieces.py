"""Pieces of a base through files that all processes of a node share: what one has read, no other reads again."""

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import BinaryIO

from paft_trainer.base.cache_room import CacheRoom
from paft_trainer.base.extent_files import ExtentFiles, PartialExtent
from paft_trainer.base.extents import Extent, Extents
from paft_trainer.base.freed_buffers import freed_buffers_given_back
from paft_trainer.base.piece_index import PieceIndex, PieceRun
from paft_trainer.base.piece_source import PART_BYTES
from paft_trainer.base.shared_files import PATIENCE_SECONDS
from paft_trainer.base.store_pieces import StorePieces

EXTENTS_AT_ONCE = 3
"""Of some 17 MiB each, whether they are under way or wait for the caller."""

Contents = list[tuple[PieceRun, memoryview]]


class CachedPieces:
    """A PieceSource. `source`: where the bytes come from. `directory`: shared by processes, of other users too.

    An extent that is not there is read as a whole and kept, by one process at a time; the others go on with other
    ones meanwhile. Where nothing can be kept (a full disk, a folder that may not be written to, or no room left),
    `on_notice` hears so once, and what is wanted is read from `source` alone.
    """

    def __init__(
        self,
        source: StorePieces,
        directory: Path,
        *,
        max_bytes: int,
        on_notice: Callable[[str], None] = lambda message: None,
    ) -> None:
        self._source = source
        self._directory = directory / "extents"
        self._extents = Extents(source.index)
        self._on_notice = on_notice
        self._lock = threading.Lock()
        self._keeps = True
        directory.mkdir(parents=True, exist_ok=True)
        self._room = CacheRoom(self._directory, max_bytes=max_bytes, kept=self._extents.names)
        self._files = ExtentFiles(self._directory / source.index.base_digest.removeprefix("sha256:"))

    @property
    def index(self) -> PieceIndex:
        """See PieceSource."""
        return self._source.index

    @property
    def bytes_read(self) -> int:
        """See PieceSource."""
        return self._source.bytes_read

    def read(self, runs: Sequence[PieceRun]) -> Iterator[tuple[PieceRun, memoryview]]:
        """See PieceSource."""
        fresh = deque(self._extents.holding(runs))
        busy: deque[tuple[Extent, list[PieceRun]]] = deque()
        under_way: dict[Future[Contents | None], tuple[Extent, list[PieceRun]]] = {}
        with self._in_bounded_memory(fresh), ThreadPoolExecutor(EXTENTS_AT_ONCE, "paft-extents") as threads:
            try:
                while fresh or busy or under_way:
                    while (fresh or busy) and len(under_way) < EXTENTS_AT_ONCE:
                        # Others write them; as long as there is something else to do, that is done.
                        waits = not fresh
                        one = busy.popleft() if waits else fresh.popleft()
                        under_way[threads.submit(self._get, *one, waits=waits)] = one
                    done = wait(under_way, return_when=FIRST_COMPLETED).done
                    while done:
                        # Nothing that was given to the caller is held on to.
                        future = done.pop()
                        one, contents = under_way.pop(future), future.result()
                        del future
                        if contents is None:
                            busy.append(one)
                        while contents:
                            yield contents.pop()
            finally:
                threads.shutdown(wait=False, cancel_futures=True)

    def _in_bounded_memory(self, extents: Iterable[tuple[Extent, list[PieceRun]]]) -> AbstractContextManager[None]:
        """While extents are filled; those that are there are read as fast as can be."""
        fills = self._keeps and not all(self._files.has(extent.name) for extent, _ in extents)
        return freed_buffers_given_back() if fills else nullcontext()

    def _get(self, extent: Extent, wanted: Sequence[PieceRun], *, waits: bool) -> Contents | None:
        """What is wanted of an extent. None where another process writes it and this one does not wait."""
        try:
            found, spoilt = self._read_file(extent, wanted)
            if found is not None:
                return found
            if self._keeps:
                return self._fill(extent, wanted, spoilt=spoilt, waits=waits)
        except OSError as error:
            self._stop_keeping(error.strerror)
        return [*self._source.read(wanted)]

    def _read_file(self, extent: Extent, wanted: Sequence[PieceRun]) -> tuple[Contents | None, os.stat_result | None]:
        """What is wanted, if it is there and right; which file it is, if it is there and wrong."""
        with self._files.open(extent.name) as file:
            if file is None:
                return None, None
            contents = _read_verified(file, extent, wanted)
            if contents is not None:
                return contents, None
            self._on_notice(f"{self._directory}: {extent.name} of the node's cache is damaged; it is read again")
            return None, os.fstat(file.fileno())

    def _fill(
        self, extent: Extent, wanted: Sequence[PieceRun], *, spoilt: os.stat_result | None, waits: bool
    ) -> Contents | None:
        """Read the extent and keep it. `spoilt`: the file that was found wrong."""
        patience_seconds = PATIENCE_SECONDS if waits else 0.0
        with self._files.locked(extent.name, extent.size, patience_seconds=patience_seconds) as partial:
            if partial is None:
                return [*self._source.read(wanted)] if waits else None
            with self._files.open(extent.name) as file:
                # Between the look and the lock another process may have written it.
                if file is not None and (spoilt is None or not os.path.samestat(spoilt, os.fstat(file.fileno()))):
                    contents = _read_verified(file, extent, wanted)
                    if contents is not None:
                        return contents
            self._files.delete(extent.name)
            if not self._room.reserve(partial):
                self._stop_keeping("there is no room in it that other bases could leave")
                return [*self._source.read(wanted)]
            return self._write(partial, extent, wanted)

    def _write(self, partial: PartialExtent, extent: Extent, wanted: Sequence[PieceRun]) -> Contents:
        contents: Contents = []
        with self._room.kept(partial):
            for run, content in self._source.read(extent.runs):
                partial.write_at(run.file_start - extent.start, content)
                common = [part for one in wanted if (part := one.common(run)) is not None]
                contents += [(part, part.part_of(run, content)) for part in common]
        return contents

    def _stop_keeping(self, why: str | None) -> None:
        with self._lock:
            keeps, self._keeps = self._keeps, False
        if keeps:
            self._on_notice(f"{self._directory}: the node's cache keeps no more: {why}; the rest is read directly")


def _read_verified(file: BinaryIO, extent: Extent, wanted: Sequence[PieceRun]) -> Contents | None:
    """The bytes of these pieces; None where some of them are wrong, or not there."""
    contents: Contents = []
    for run in (part for one in wanted for part in one.cut(PART_BYTES)):
        content = memoryview(os.pread(file.fileno(), run.size, run.file_start - extent.start))
        if len(content) != run.size or run.wrong_piece(content) is not None:
            return None
        contents.append((run, content))
    return contents
