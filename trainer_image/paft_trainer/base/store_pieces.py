"""Pieces of a base straight from the object store."""

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

from paft_trainer.base.coalescing import Request, plan_requests
from paft_trainer.base.piece_index import PieceIndex, PieceRun
from paft_trainer.base.piece_source import PART_BYTES
from paft_trainer.errors import ArtifactMismatch
from paft_trainer.storage import ObjectStore

REQUESTS_AT_ONCE = 8
"""Of PART_BYTES each, whether they are under way or wait for the caller."""


class StorePieces:
    """A PieceSource. `base_uri`: the folder of the base. `on_notice` hears what somebody should know, in one line."""

    def __init__(
        self,
        store: ObjectStore,
        base_uri: str,
        index: PieceIndex,
        *,
        on_notice: Callable[[str], None] = lambda message: None,
    ) -> None:
        self.index = index
        self._store = store
        self._base_uri = base_uri
        self._on_notice = on_notice
        self._lock = threading.Lock()
        self._bytes_read = 0

    @property
    def bytes_read(self) -> int:
        """See PieceSource."""
        return self._bytes_read

    def read(self, runs: Sequence[PieceRun]) -> Iterator[tuple[PieceRun, memoryview]]:
        """See PieceSource."""
        requests = deque(plan_requests(runs, most_bytes=PART_BYTES))
        with ThreadPoolExecutor(REQUESTS_AT_ONCE, "paft-pieces") as threads:
            under_way: set[Future[list[tuple[PieceRun, memoryview]]]] = set()
            try:
                while requests or under_way:
                    while requests and len(under_way) < REQUESTS_AT_ONCE:
                        under_way.add(threads.submit(self._verified, requests.popleft()))
                    done, under_way = wait(under_way, return_when=FIRST_COMPLETED)
                    while done:
                        yield from done.pop().result()
            finally:
                threads.shutdown(wait=False, cancel_futures=True)

    def read_range(self, name: str, start: int, size: int) -> memoryview:
        """Some bytes of one tensor, from offset `start` within it, by one request for the pieces that have them.

        Raises as `read`.
        """
        run = self.index.tensors[name].covering(start, start + size)
        if run.count == 0:
            return memoryview(b"")
        ((_, content),) = self._verified(Request(file=run.tensor.file, runs=(run,)))
        return content[start - run.start :][:size]

    def _verified(self, request: Request) -> list[tuple[PieceRun, memoryview]]:
        """The bytes of each of its runs; asked for once more where they are wrong."""
        content = self._fetch(request)
        wrong = _first_wrong(request, content)
        if wrong is not None:
            self._on_notice(f"{self._base_uri}{request.file} came with {wrong}; it is read again")
            content = self._fetch(request)
            wrong = _first_wrong(request, content)
        if wrong is not None:
            raise ArtifactMismatch(
                f"{self._base_uri}{request.file} is not what was indexed: twice it came with {wrong}",
                remedy="The object or what lies between is damaged. Check the base with paft verify; where it is "
                "damaged, upload it again, and start the job again.",
            )
        return [(run, request.part_of(run, content)) for run in request.runs]

    def _fetch(self, request: Request) -> memoryview:
        etag = self.index.files[request.file].etag
        uri, size = self._base_uri + request.file, request.stop - request.start
        content = self._store.read_range(uri, request.start, size, etag=etag)
        with self._lock:
            self._bytes_read += len(content)
        return memoryview(content)


def _first_wrong(request: Request, content: memoryview) -> str | None:
    """In words, where it is. None where all pieces are right."""
    for run in request.runs:
        piece = run.wrong_piece(request.part_of(run, content))
        if piece is not None:
            wrong = PieceRun(tensor=run.tensor, first=piece, count=1)
            return (
                f"wrong bytes {wrong.file_start} to {wrong.file_stop} "
                f"(tensor {run.tensor.name}, its bytes {wrong.start} to {wrong.stop})"
            )
    return None
