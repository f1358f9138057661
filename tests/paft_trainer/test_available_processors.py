"""Processors within a cgroup's quota."""

import os
from pathlib import Path

import pytest

from paft_trainer.available_processors import available_processors

ALL = len(os.sched_getaffinity(0))


@pytest.mark.parametrize(
    ("quota", "processors"),
    [
        ("max 100000", ALL),
        ("100000 100000", 1),
        ("50000 100000", 1),
        ("101000 100000", min(ALL, 2)),
        ("99900000 1000", ALL),
    ],
)
def test_the_quota_of_a_pod_is_kept(tmp_path: Path, quota: str, processors: int) -> None:
    (tmp_path / "cpu.max").write_text(f"{quota}\n")
    assert available_processors(tmp_path) == processors


@pytest.mark.parametrize(("quota", "processors"), [(-1, ALL), (100000, 1), (20000, 1)])
def test_cgroups_of_version_1(tmp_path: Path, quota: int, processors: int) -> None:
    folder = tmp_path / "cpu"
    folder.mkdir()
    (folder / "cpu.cfs_quota_us").write_text(f"{quota}\n")
    (folder / "cpu.cfs_period_us").write_text("100000\n")
    assert available_processors(tmp_path) == processors


def test_without_a_quota_all_are_there(tmp_path: Path) -> None:
    assert available_processors(tmp_path) == ALL
