"""Becomes an attempt's launcher: `python -P -m paft_cli.local.attempt_process FOLDER COMMAND...`.

First it takes the attempt's lock and writes down who it is, then it becomes COMMAND by exec, which keeps the process
id, the start time and the lock. So whenever `paft run` is killed, the next one sees from the lock alone whether the
launcher lives, and no attempt is ever run by two. Imports the standard library only: it is in every start.
"""

import fcntl
import json
import os
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

LOCK_SECONDS = 2.0
"""An observer holds the lock for a moment while it looks; an attempt at work for longer than this."""

EXIT_NOT_STARTED = 75
"""Another process runs this attempt, or the `paft run` that asked for it is gone (EX_TEMPFAIL)."""


def start_time_of(pid: int) -> int | None:
    """Start of a process in clock ticks since boot (field 22 of /proc/PID/stat); None where it does not live."""
    fields = _stat_fields(pid)
    return int(fields[19]) if fields is not None else None


def parent_of(pid: int) -> int | None:
    """The parent's process id; None where the process does not live."""
    fields = _stat_fields(pid)
    return int(fields[1]) if fields is not None else None


def _stat_fields(pid: int) -> list[str] | None:
    """Fields 3 onwards, as the second is the program's name in brackets and may hold blanks; None for a zombie too."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = text.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else fields


def main(arguments: list[str]) -> int:
    """Take the lock, write process.json and become the command; returns only where that must not happen."""
    folder, command = Path(arguments[0]), arguments[1:]
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o644)
    if _lock(descriptor) and os.getppid() == int(os.environ["PAFT_PARENT_PID"]):
        _write_process_record(folder / "process.json")
        os.set_inheritable(descriptor, True)
        os.execv(command[0], command)
    return EXIT_NOT_STARTED


def _lock(descriptor: int) -> bool:
    deadline = time.monotonic() + LOCK_SECONDS
    while time.monotonic() < deadline:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.02)
        else:
            return True
    return False


def _write_process_record(path: Path) -> None:
    record = {
        "pid": os.getpid(),
        "startTime": start_time_of(os.getpid()),
        "parentPid": os.getppid(),
        "startedAt": datetime.now(UTC).isoformat(),
    }
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(json.dumps(record), encoding="utf-8")
    os.replace(temporary, path)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
