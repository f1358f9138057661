"""A disk of a few megabytes that can be filled: a tmpfs, which root may mount, or who has CAP_SYS_ADMIN."""

import errno
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MEGABYTES = 8
_BALLAST = "ballast"


@contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    """Mounted at `folder` for the length of a `with` block."""
    folder.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={MEGABYTES}m", "tmpfs", str(folder)], check=True)
    try:
        yield
    finally:
        # Lazily: a process that is being killed may still hold a file of it open.
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def can_mount(folder: Path) -> bool:
    """Whether this user may; `folder`: a place that is not there yet."""
    try:
        with small_disk(folder):
            return True
    except subprocess.CalledProcessError:
        return False


def fill(folder: Path) -> None:
    """Leave not a byte, as somebody else who writes to the same disk."""
    descriptor = os.open(folder / _BALLAST, os.O_WRONLY | os.O_CREAT, 0o644)
    try:
        for size in (65536, 4096, 1):
            _write_until_full(descriptor, bytes(size))
    finally:
        os.close(descriptor)


def free(folder: Path) -> None:
    """Undo `fill`, where it was filled."""
    (folder / _BALLAST).unlink(missing_ok=True)


def _write_until_full(descriptor: int, block: bytes) -> None:
    try:
        while True:
            os.write(descriptor, block)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
