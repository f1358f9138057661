"""Many processes on one cache that is too small for their two bases, while some are killed and the disk rots."""

import contextlib
import os
import random
import time
from pathlib import Path

import pytest
from tests.paft_trainer.base.cache_processes import Reader, StartedReader, start_readers
from tests.paft_trainer.base.test_cached_pieces import EXTENT, LARGER, Base
from tests.paft_trainer.base.test_store_pieces import all_runs

from paft_api.spec.storage import StorageSpec
from paft_trainer.base import extents
from paft_trainer.base.shared_files import lock_shared_file

pytestmark = pytest.mark.slow

READERS = 5


@pytest.fixture(autouse=True)
def _many_extents(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extents, "EXTENT_BYTES", EXTENT)


def reader_of(base: Base, *, max_bytes: int) -> Reader:
    return Reader(
        storage=StorageSpec(artifacts_uri="file:///unused/"),
        base_uri=base.uri,
        index=base.index,
        directory=base.cache,
        extent_bytes=EXTENT,
        runs=all_runs(base.index),
        max_bytes=max_bytes,
    )


def bytes_on_disk(directory: Path) -> int:
    """Extents, whole or not. None is given room meanwhile, so that none is counted twice under two names."""
    lock = lock_shared_file(directory / "extents" / "usage", patience_seconds=60.0)
    assert lock is not None
    try:
        size = 0
        for path in directory.rglob("*"):
            with contextlib.suppress(FileNotFoundError):
                size += path.stat().st_size if path.is_file() else 0
        return size
    finally:
        os.close(lock)


def rot_one(directory: Path, chance: random.Random) -> None:
    """Change a byte of an extent, in place."""
    extents_there = sorted(path for path in directory.rglob("*") if len(path.name) == 64 and path.is_file())
    if extents_there:
        with contextlib.suppress(FileNotFoundError), chance.choice(extents_there).open("r+b") as file:
            file.seek(chance.randrange(4096))
            file.write(bytes([chance.randrange(256)]))


def play_faults(started: list[StartedReader], directory: Path, chance: random.Random, *, max_bytes: int) -> int:
    """Kill about half of them, at any time, and spoil what they keep; how many were killed."""
    doomed = [one for one in started if chance.random() < 0.5]
    for one in doomed:
        for _ in range(3):
            time.sleep(chance.random() * 0.1)
            rot_one(directory, chance)
            assert bytes_on_disk(directory) <= max_bytes
        one.process.kill()
    return len(doomed)


@pytest.mark.parametrize("seed", range(3))
def test_whatever_happens_all_bytes_are_right_and_no_more_are_kept_than_allowed(seed: int, tmp_path: Path) -> None:
    chance = random.Random(seed)
    bases = [Base(tmp_path, name, LARGER, seed=number) for number, name in enumerate(("first", "second"))]
    most = int(bases[0].index.size * 1.4)
    read = [chance.choice(bases) for _ in range(READERS)]
    started = start_readers([reader_of(base, max_bytes=most) for base in read])
    killed = play_faults(started, bases[0].cache, chance, max_bytes=most)
    outcomes = [one.outcome() for one in started]
    assert outcomes.count(None) <= killed
    for base, outcome in zip(read, outcomes, strict=True):
        if outcome is not None:
            assert outcome.sha256 == {name: tensor.sha256 for name, tensor in base.index.tensors.items()}
    for base in bases:
        base.read_all(max_bytes=most)
        assert bytes_on_disk(base.cache) <= most
    assert bases[1].read_all(max_bytes=most) == 0
