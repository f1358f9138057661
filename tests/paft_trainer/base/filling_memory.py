"""`python -m tests.paft_trainer.base.filling_memory FOLDER`: fills a node's cache in rounds, as a rank does, and prints
by how many bytes the memory of its process grew at most."""

import pickle
import re
import sys
from pathlib import Path

from paft_trainer.base.cached_pieces import CachedPieces
from paft_trainer.base.piece_index import PieceIndex, PieceRun
from paft_trainer.base.store_pieces import StorePieces
from paft_trainer.storage.file_store import FileStore, uri_of

ROUND_BYTES = 32 * 1024 * 1024


def rounds(index: PieceIndex) -> list[list[PieceRun]]:
    """The first half of each tensor, some at a time."""
    found: list[list[PieceRun]] = [[]]
    for tensor in index.tensors.values():
        if sum(run.size for run in found[-1]) >= ROUND_BYTES:
            found.append([])
        found[-1].append(PieceRun(tensor=tensor, first=0, count=tensor.all_pieces.count // 2))
    return found


def resident(field: str) -> int:
    """Bytes of this process, by the name in /proc/self/status."""
    (kib,) = re.findall(rf"^{field}:\s+(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)
    return int(kib) * 1024


def main(folder: Path) -> None:
    """Reads what `put_files` wrote to base/ and the index beside it."""
    index = pickle.loads((folder / "index").read_bytes())
    source = CachedPieces(StorePieces(FileStore(), f"{uri_of(folder)}/base/", index), folder / "cache", max_bytes=2**40)
    Path("/proc/self/clear_refs").write_text("5")
    before = resident("VmRSS")
    for runs in rounds(index):
        for _ in source.read(runs):
            pass
    print(resident("VmHWM") - before)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
