"""Folders and files that processes of several users share: who may write is said by the mode of the folder above.

The umask says something else in each process, so modes are set, and before anybody can see the file.
"""

import contextlib
import fcntl
import os
import stat
import tempfile
import time
from pathlib import Path

NEW_PREFIX = ".new-"
"""Of what is not to be seen yet. Where its maker is killed, nobody has it locked."""

PATIENCE_SECONDS = 60.0
"""Longest wait for another process. It may be waiting for the object store, or be stopped."""

_RETRY_SECONDS = 0.02


def make_shared_folder(folder: Path) -> None:
    """Make a folder, unless it is there, with the mode of the one that it is made in."""
    if folder.is_dir():
        return
    # Without the sticky bit, which would have each user keep all files.
    mode = stat.S_IMODE(folder.parent.stat().st_mode) & ~stat.S_ISVTX
    temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=NEW_PREFIX))
    try:
        temporary.chmod(mode)
        temporary.rename(folder)
    except OSError:
        temporary.rmdir()
        if not folder.is_dir():
            raise


def lock_shared_file(path: Path, *, patience_seconds: float) -> int | None:
    """Descriptor of the file at `path`, made where it is not there, with a flock(2) on it. None where another process
    has had it locked for all that time. Whoever closes the descriptor, or dies, unlocks it."""
    deadline = time.monotonic() + patience_seconds
    while True:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW)
        except FileNotFoundError:
            _make_file(path)
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            if time.monotonic() >= deadline:
                return None
            # A process that was stopped keeps its locks, and flock(2) itself would wait for it for ever.
            time.sleep(_RETRY_SECONDS)
            continue
        if _is_at(descriptor, path):
            return descriptor
        # Whoever held the lock has renamed or deleted the file since it was opened here.
        os.close(descriptor)


def delete_abandoned(path: Path) -> bool:
    """Delete a file that nobody has locked. False where somebody has."""
    try:
        descriptor = lock_shared_file(path, patience_seconds=0)
    except PermissionError:
        # Another user has made it just now, and not yet given it the mode of the folder.
        return False
    if descriptor is None:
        return False
    try:
        path.unlink(missing_ok=True)
    finally:
        os.close(descriptor)
    return True


def _make_file(path: Path) -> None:
    """An empty file, unless it is there meanwhile."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=NEW_PREFIX)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        os.fchmod(descriptor, path.parent.stat().st_mode & 0o666)
        # Deleted before it was locked, or made by another process: then whoever asked looks again.
        with contextlib.suppress(FileExistsError, FileNotFoundError):
            os.link(temporary, path)
    finally:
        # Before anybody else can lock it, so that nobody finds it under two names.
        Path(temporary).unlink(missing_ok=True)
        os.close(descriptor)


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        there = path.stat(follow_symlinks=False)
    except FileNotFoundError:
        return False
    return os.path.samestat(there, os.fstat(descriptor))
