"""The kernel's count of processes it killed for memory in this container: cgroup v2, else v1.

On cgroup v1 the kernel kills the rank and not process 1, so the count is the only trace.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Self

_COUNTERS = (
    (Path("/sys/fs/cgroup/memory.events"), re.compile(r"^oom_kill (\d+)$", re.MULTILINE)),
    (Path("/sys/fs/cgroup/memory/memory.oom_control"), re.compile(r"^oom_kill (\d+)$", re.MULTILINE)),
)


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
    for path, pattern in _COUNTERS:
        if path.is_file():
            match = pattern.search(path.read_text())
            if match is not None:
                return int(match[1])
    return 0
