"""How much may lie in a node's cache, and what goes when there is no room: the least recently used extents.

    <directory>/usage                 bytes that are used or promised, in decimal; whoever changes it holds a flock(2)
    <directory>/<base digest>/…       the extents of each base, see extent_files

The number is only a promise, made before anything is written. Whenever it says that there is no room, the files are
counted, so that what a killed process promised does not stay promised. No file is given room, or another name, without
that lock: a file whose name changes while its folder is listed may be in the list under neither. So the sizes of the
files never add up to more than the number, whoever is killed, and whenever.
"""

import errno
import os
import re
from collections.abc import Iterator, Set
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from paft_trainer.base.extent_files import PARTIAL_SUFFIX, PartialExtent
from paft_trainer.base.shared_files import (
    NEW_PREFIX,
    PATIENCE_SECONDS,
    delete_abandoned,
    lock_shared_file,
    make_shared_folder,
)

EVICTED_SHARE = 0.05
"""Of the largest size: so much is made free at a time, since all files are looked at for it."""

FREE_SHARE = 1 / 64
"""Of the largest size: not used for extents. Folders, and files that end within a block, take room of their own, and a
kubelet evicts pods for all that their volume takes."""

_NAME = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, kw_only=True, slots=True, order=True)
class _Used:
    """An extent. `used_at`: when it was read last, in ns."""

    used_at: int
    path: Path
    size: int


class CacheRoom:
    """The room in `directory`, `max_bytes` in all. `kept`: names of extents that are not deleted to make room: a base
    that does not fit would else push itself out, and nothing of it would ever be found."""

    def __init__(self, directory: Path, *, max_bytes: int, kept: Set[str]) -> None:
        self._directory = directory
        self._most = int(max_bytes * (1 - FREE_SHARE))
        self._kept = kept
        make_shared_folder(directory)

    def reserve(self, partial: PartialExtent) -> bool:
        """Promise room for an extent. False where there is none. Raises OSError."""
        size = partial.size
        with self._usage() as file:
            used = _read_number(file)
            if used is None or used + size > self._most:
                used = self._make_room(size)
            has_room = used + size <= self._most
            _write_number(file, used + size if has_room else used)
            if has_room:
                partial.allot()
        return has_room

    @contextmanager
    def kept(self, partial: PartialExtent) -> Iterator[None]:
        """While an extent that has room is written: commit it then, or discard it where it was not written. Raises
        OSError."""
        try:
            yield
        except BaseException:
            self._give_back(partial)
            raise
        with self._usage():
            partial.commit()

    def _give_back(self, partial: PartialExtent) -> None:
        with self._usage() as file:
            partial.discard()
            used = _read_number(file)
            if used is not None:
                _write_number(file, max(used - partial.size, 0))

    def _make_room(self, size: int) -> int:
        """Delete what was not used for longest, as far as it must be; the bytes that are left."""
        extents, under_way = self._count()
        used = sum(extent.size for extent in extents) + under_way
        if used + size <= self._most:
            return used
        target = int(self._most * (1 - EVICTED_SHARE)) - size
        for extent in sorted(extents):
            if used <= target:
                break
            if extent.path.name not in self._kept:
                extent.path.unlink(missing_ok=True)
                used -= extent.size
        return used

    def _count(self) -> tuple[list[_Used], int]:
        """All extents, and the bytes of those being written. Those whose writers are gone are deleted."""
        extents: list[_Used] = []
        under_way = 0
        for folder in self._directory.iterdir():
            if not _NAME.fullmatch(folder.name) or folder.is_symlink():
                continue
            for entry in os.scandir(folder):
                path = folder / entry.name
                try:
                    status = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    # Deleted meanwhile.
                    continue
                if _NAME.fullmatch(entry.name):
                    extents.append(_Used(used_at=status.st_mtime_ns, path=path, size=status.st_size))
                elif entry.name.startswith(NEW_PREFIX) or entry.name.endswith(PARTIAL_SUFFIX):
                    under_way += 0 if delete_abandoned(path) else status.st_size
        return extents, under_way

    @contextmanager
    def _usage(self) -> Iterator[int]:
        descriptor = lock_shared_file(self._directory / "usage", patience_seconds=PATIENCE_SECONDS)
        if descriptor is None:
            raise TimeoutError(errno.ETIMEDOUT, "a process that does not go on has locked it")
        try:
            yield descriptor
        finally:
            os.close(descriptor)


def _read_number(descriptor: int) -> int | None:
    """None for a file that is new, or was left half-written."""
    text = os.pread(descriptor, 32, 0)
    return int(text[:-1]) if re.fullmatch(rb"[0-9]{1,20}\n", text) else None


def _write_number(descriptor: int, number: int) -> None:
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, b"%d\n" % number, 0)
