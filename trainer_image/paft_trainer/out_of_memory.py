"""The kernel's count of processes it killed for memory in this container: cgroup v2, else v1.

On cgroup v1 the kernel kills the rank and not process 1, so the count is the only trace.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

_OOM_KILL = re.compile(r"^oom_kill (\d+)$", re.MULTILINE)
_HIERARCHY = Path("/sys/fs/cgroup")


@dataclass(frozen=True, slots=True)
class OutOfMemoryCounter:
    """The count when the ranks were started."""

    at_start: int

    @classmethod
    def of_this_container(cls) -> Self:
        """Read it now."""
        return cls(_read())

    def has_risen(self) -> bool:
        """Whether a process was killed for memory since."""
        return _read() > self.at_start


def _read() -> int:
    for path in _counters(Path("/proc/self/cgroup").read_text()):
        match = _OOM_KILL.search(path.read_text()) if path.is_file() else None
        if match is not None:
            return int(match[1])
    return 0


def _counters(memberships: str) -> Iterator[Path]:
    """Where the count may be: of this process's own cgroup, else of the root that a container sees."""
    own = dict(line.split(":", 2)[1:] for line in memberships.splitlines())
    for folder in (own.get("", "/"), "/"):
        yield _HIERARCHY / folder.strip("/") / "memory.events"
    for folder in (own.get("memory", "/"), "/"):
        yield _HIERARCHY / "memory" / folder.strip("/") / "memory.oom_control"
