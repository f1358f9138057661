"""SHA-256 of each tensor of the base, taken while it passes by: what its digest is made of."""

import hashlib
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Self

WAITING_CHUNKS = 4
"""Chunks, and ends of tensors, that may wait to be hashed."""


class BaseHashes:
    """A thread that hashes. `known`: of tensors that will not pass by."""

    def __init__(self, known: dict[str, str] | None = None) -> None:
        self.sha256: dict[str, str] = dict(known or {})
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="hash")
        self._waiting: deque[Future[None]] = deque()
        self._current = hashlib.sha256()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._thread.shutdown(wait=True, cancel_futures=kind is not None)

    def update(self, chunk: bytes | memoryview) -> None:
        """The next bytes of a tensor."""
        self._wait_for(WAITING_CHUNKS - 1)
        self._waiting.append(self._thread.submit(self._current.update, chunk))

    def end(self, name: str) -> None:
        """It was the last of this tensor."""
        self._wait_for(WAITING_CHUNKS - 1)
        self._waiting.append(self._thread.submit(self._end, name, self._current))
        self._current = hashlib.sha256()

    def wait(self) -> None:
        """Until everything is hashed."""
        self._wait_for(0)

    def _wait_for(self, left: int) -> None:
        while len(self._waiting) > left:
            self._waiting.popleft().result()

    def _end(self, name: str, digest: "hashlib._Hash") -> None:
        self.sha256[name] = digest.hexdigest()
