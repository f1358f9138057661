"""The same comparison as for tiny models, once for a real one."""

from pathlib import Path

import pytest
from benchmarks.load_runs.bases import smollm2_folder
from tests.paft_trainer.training.base_loading.loaded_models import LoadCase, load_on_ranks

pytestmark = pytest.mark.slow

RANKS = 2


def test_partitions_of_smollm2_are_those_of_transformers(tmp_path: Path) -> None:
    folder = smollm2_folder()
    case = LoadCase(folder=str(folder), dtype="bfloat16", persistence_threshold=100_000)
    (loaded,) = load_on_ranks([case], ranks=RANKS, directory=tmp_path / "ranks")
    for one in loaded:
        assert one.failure is None
        assert one.differences == ()
        assert one.compared > 250
    size = (folder / "model.safetensors").stat().st_size
    read = [one.bytes_read for one in loaded]
    assert size - 100_000 <= sum(read) <= 1.01 * size
    assert max(read) <= 1.02 * min(read)
