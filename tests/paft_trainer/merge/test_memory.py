"""Memory is bounded by chunks: merging one weight takes less memory than the weight itself."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from paft_trainer.safetensors_files import encode_header

ROWS, COLUMNS = 24_576, 8_192

PROGRAM = f"""
import sys
import torch
from paft_api.spec.merge import MergeOutput, MergeSpec, MergeMethod
from paft_trainer.adapters import Factors
from paft_trainer.merge import run
from paft_trainer.merge.tensors import ArmDelta, merged_tensor
from paft_trainer.peak_memory import peak_memory_bytes
from paft_trainer.safetensors_files import read_header
from paft_trainer.storage.file_store import FileStore

torch.set_num_threads(1)
factors = Factors(a=torch.ones(1, {COLUMNS}), b=torch.ones({ROWS}, 1), scale=1.0)
arms = [ArmDelta(arm=arm, factors=factors, weight=1.0) for arm in ("sft", "preference")]
spec = MergeSpec(method=MergeMethod(sys.argv[2]), output=MergeOutput(uri="file:///nowhere/"))
entry = read_header(FileStore(), sys.argv[1]).entries[0]
before = peak_memory_bytes()
assert sum(map(len, merged_tensor(FileStore(), sys.argv[1], entry, arms, spec))) == entry.size
print(peak_memory_bytes() - before, "transformers" in sys.modules)
"""


@pytest.mark.parametrize(("method", "most"), [("linear", 150_000_000), ("dare_ties", 220_000_000)])
def test_a_large_weight_takes_the_memory_of_a_chunk(tmp_path: Path, method: str, most: int) -> None:
    path = tmp_path / "base.safetensors"
    path.write_bytes(encode_header([("w", "BF16", (ROWS, COLUMNS))], metadata={}))
    os.truncate(path, path.stat().st_size + 2 * ROWS * COLUMNS)  # zeros that take no space on disk
    program = [sys.executable, "-c", PROGRAM, f"file://{path}", method]
    finished = subprocess.run(program, check=True, capture_output=True, text=True)
    grown, knows_transformers = finished.stdout.split()
    assert int(grown) < most < 2 * ROWS * COLUMNS
    assert knows_transformers == "False"
