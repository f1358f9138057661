"""Memory is bounded by chunks: merging one weight takes less memory than the weight itself, whatever looks at it first.

Each merge runs in a process of its own, whose peak it is.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from paft_trainer.safetensors_files import encode_header

ROWS, COLUMNS = 8_192, 8_192

PROGRAM = f"""
import sys
from pathlib import Path
import numpy as np
from tests.merged_matrices import options_of
from tests.merged_checkpoints import SmallModel, merge_checkpoint
from paft_trainer.adapters import Factors
from paft_trainer.merge.base_hashes import BaseHashes
from paft_trainer.peak_memory import peak_memory_bytes

folder, methods = Path(sys.argv[1]), sys.argv[2].split()
sweep = {{
    name: options_of(name.partition("+")[0], **({{"densityScope": "Model"}} if name.endswith("+model") else {{}}))
    for name in methods
}}
ones = lambda rows, columns: np.ones((rows, columns), np.float32)
factors = {{"model.layers.0.w": Factors(a=ones(1, {COLUMNS}), b=ones({ROWS}, 1), scale=1.0)}}
small = {{"model.layers.0.v": Factors(a=ones(1, 8), b=ones(8, 1), scale=1.0)}}
warm = SmallModel(folder=folder / "small", sft=small, preference=small)
merge_checkpoint(warm, folder / "warm", sweep)  # compiles
before = peak_memory_bytes()
with BaseHashes() as hashes:
    model = SmallModel(folder=folder / "large", sft=factors, preference=factors)
    merge_checkpoint(model, folder / "out", sweep, hashes=hashes)
size = (folder / "out" / methods[0] / "model.safetensors").stat().st_size
assert size > 2 * {ROWS * COLUMNS}
print(peak_memory_bytes() - before, "transformers" in sys.modules)
"""


def write_base(folder: Path, name: str, rows: int, columns: int) -> None:
    """One weight of zeros that take no space on disk."""
    folder.mkdir()
    path = folder / "model.safetensors"
    path.write_bytes(encode_header([(name, "BF16", (rows, columns))], metadata={}))
    os.truncate(path, path.stat().st_size + 2 * rows * columns)
    (folder / "config.json").write_text("{}")
    (folder / "tokenizer.json").write_text("{}")


@pytest.mark.parametrize("methods", ["linear", "ties+model dare_ties"])
def test_a_large_weight_takes_the_memory_of_some_chunks(tmp_path: Path, methods: str) -> None:
    write_base(tmp_path / "small", "model.layers.0.v.weight", 8, 8)
    write_base(tmp_path / "large", "model.layers.0.w.weight", ROWS, COLUMNS)
    program = [sys.executable, "-c", PROGRAM, str(tmp_path), methods]
    finished = subprocess.run(program, check=True, capture_output=True, text=True)
    grown, knows_transformers = finished.stdout.split()
    assert int(grown) < 125_000_000 < 2 * ROWS * COLUMNS
    assert knows_transformers == "False"
