"""How many processors this process may use: those it may run on, within the quota of its cgroup.

A pod's CPU limit is such a quota (https://docs.kernel.org/admin-guide/cgroup-v2.html, cpu.max): more threads than that
only take turns, and each costs memory.
"""

import math
import os
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")


def available_processors(cgroups: Path = CGROUPS) -> int:
    """At least one. `cgroups`: where they are mounted, version 2 or 1."""
    allowed = len(os.sched_getaffinity(0))
    quota = _quota_of_version_2(cgroups / "cpu.max") or _quota_of_version_1(cgroups / "cpu")
    return allowed if quota is None else max(1, min(allowed, math.ceil(quota)))


def _quota_of_version_2(file: Path) -> float | None:
    if not file.is_file():
        return None
    quota, period = file.read_text().split()
    return None if quota == "max" else int(quota) / int(period)


def _quota_of_version_1(folder: Path) -> float | None:
    file = folder / "cpu.cfs_quota_us"
    if not file.is_file():
        return None
    quota, period = int(file.read_text()), int((folder / "cpu.cfs_period_us").read_text())
    return None if quota < 0 else quota / period
