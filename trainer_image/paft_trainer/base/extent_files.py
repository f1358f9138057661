"""The files of extents in a folder that processes of a node share, each written once whoever asks for it.

    <folder>/<name>             an extent, whole
    <folder>/<name>.partial     one that is being written; its writer holds a flock(2) on it, and its size is the room
                                that it was promised, see cache_room

The lock ends with its holder, so that a writer that is killed blocks nobody: the next one finds the file, and begins
again. Nothing here is trusted: what is read is compared with the index.
"""

import contextlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from paft_trainer.base.shared_files import lock_shared_file, make_shared_folder

PARTIAL_SUFFIX = ".partial"


class ExtentFiles:
    """Extents in `folder`, which is made where it is not there. Everything here raises OSError."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        make_shared_folder(folder)

    def has(self, name: str) -> bool:
        """Whether the extent is there, which it need not be a moment later."""
        return (self._folder / name).exists()

    @contextmanager
    def open(self, name: str) -> Iterator[BinaryIO | None]:
        """The extent for reading, which it stays for as long as it is open, also when it is deleted meanwhile. None
        where it is not there."""
        try:
            file = (self._folder / name).open("rb", buffering=0)
        except FileNotFoundError:
            yield None
            return
        with file:
            # The time of the last use decides what is deleted first; where it may not be set, that of writing does.
            with contextlib.suppress(OSError):
                os.utime(file.fileno())
            yield file

    @contextmanager
    def locked(self, name: str, size: int, *, patience_seconds: float) -> Iterator["PartialExtent | None"]:
        """The right to write an extent of `size` bytes, which one process has at a time. None where another one has it
        for all that time. What was not committed when the context ends is deleted."""
        path = self._folder / f"{name}{PARTIAL_SUFFIX}"
        descriptor = lock_shared_file(path, patience_seconds=patience_seconds)
        if descriptor is None:
            yield None
            return
        partial = PartialExtent(path, self._folder / name, descriptor, size=size)
        try:
            # What a killed writer left goes.
            os.ftruncate(descriptor, 0)
            yield partial
        finally:
            partial.discard()
            os.close(descriptor)

    def delete(self, name: str) -> None:
        """Delete an extent, if it is there; its lock must be held."""
        (self._folder / name).unlink(missing_ok=True)


class PartialExtent:
    """An extent of `size` bytes that is being written; CacheRoom alone calls allot and commit. Raises OSError."""

    def __init__(self, path: Path, final: Path, descriptor: int, *, size: int) -> None:
        self._path = path
        self._final = final
        self._descriptor = descriptor
        self._is_ended = False
        self.size = size

    def allot(self) -> None:
        """Have the file tell how much room it was promised."""
        os.ftruncate(self._descriptor, self.size)

    def write_at(self, offset: int, content: memoryview) -> None:
        """Write bytes to their place."""
        while len(content) > 0:
            written = os.pwrite(self._descriptor, content, offset)
            offset += written
            content = content[written:]

    def commit(self) -> None:
        """Everything is written: show it to the others."""
        os.replace(self._path, self._final)
        self._is_ended = True

    def discard(self) -> None:
        """Delete it, unless it is committed, or deleted: then another process may have made a file of its name."""
        if not self._is_ended:
            self._path.unlink(missing_ok=True)
            self._is_ended = True
