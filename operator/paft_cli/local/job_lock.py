"""One `paft run` per job at a time."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from paft_cli.errors import CommandError
from paft_cli.local.directories import JobDirectory

_LOOK_SECONDS = 0.5
"""`is_held` holds the lock for a moment, a `paft run` for longer than this."""


@contextmanager
def exclusive(directory: JobDirectory) -> Iterator[None]:
    """Hold the job's lock. Raises CommandError where another `paft run` holds it."""
    directory.path.mkdir(parents=True, exist_ok=True)
    with directory.lock_file.open("a+", encoding="utf-8") as file:
        if not _lock(file):
            file.seek(0)
            raise CommandError(
                f"another paft run (pid {file.read().strip()}) is working on job {directory.path.name}; "
                "wait for it, or stop it with Ctrl-C"
            )
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield


def is_held(directory: JobDirectory) -> bool:
    """Whether a `paft run` is working on the job."""
    if not directory.lock_file.is_file():
        return False
    with directory.lock_file.open("a+", encoding="utf-8") as file:
        return not _try_lock(file, fcntl.LOCK_SH)


def _lock(file: TextIO) -> bool:
    deadline = time.monotonic() + _LOOK_SECONDS
    while not _try_lock(file, fcntl.LOCK_EX):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def _try_lock(file: TextIO, kind: int) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
