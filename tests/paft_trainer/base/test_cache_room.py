"""The room of a cache that many writers, each with descriptors of its own as processes have, fill beyond its size."""

import contextlib
import os
import random
import threading
from pathlib import Path

from paft_trainer.base.cache_room import CacheRoom
from paft_trainer.base.extent_files import ExtentFiles, PartialExtent
from paft_trainer.base.shared_files import lock_shared_file

SIZE = 1000
MOST = 64 * SIZE
WRITERS = 8
ROUNDS = 60


class Writer(threading.Thread):
    """Writes extents of one of two bases, and fails at some of them."""

    def __init__(self, directory: Path, *, seed: int) -> None:
        super().__init__()
        self.chance = random.Random(seed)
        self.room = CacheRoom(directory, max_bytes=MOST, kept=frozenset())
        self.files = ExtentFiles(directory / f"{seed % 2:064x}")
        self.written = 0

    def run(self) -> None:
        for _ in range(ROUNDS):
            name = f"{self.chance.randrange(100):064x}"
            with self.files.locked(name, SIZE, patience_seconds=0) as partial:
                if partial is not None and not self.files.has(name) and self.room.reserve(partial):
                    with contextlib.suppress(InterruptedError):
                        self.write(partial)

    def write(self, partial: PartialExtent) -> None:
        with self.room.kept(partial):
            partial.write_at(0, memoryview(bytes(SIZE)))
            if self.chance.random() < 0.2:
                raise InterruptedError
        self.written += 1


def promised_and_there(directory: Path) -> tuple[int, int]:
    """The number, and the bytes of all files, at one time."""
    lock = lock_shared_file(directory / "usage", patience_seconds=60.0)
    assert lock is not None
    try:
        there = 0
        for path in directory.glob("*/*"):
            with contextlib.suppress(FileNotFoundError):
                there += path.stat().st_size
        return int(os.pread(lock, 32, 0) or b"0"), there
    finally:
        os.close(lock)


def test_files_never_add_up_to_more_than_what_is_promised_nor_that_to_more_than_there_is_room(tmp_path: Path) -> None:
    writers = [Writer(tmp_path, seed=seed) for seed in range(WRITERS)]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        promised, there = promised_and_there(tmp_path)
        assert there <= promised <= MOST
    promised, there = promised_and_there(tmp_path)
    assert there <= promised <= MOST
    # They wrote more than there is room for, so that the files were counted many times.
    assert sum(writer.written for writer in writers) * SIZE > 2 * MOST
