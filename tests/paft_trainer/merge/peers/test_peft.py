"""PEFT's `cat`, the one of its combinations that is exact: it puts the factors beside one another."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from peft import PeftModel
from tests.paft_trainer.merge.peers.cases import Case
from tests.paft_trainer.merge.peers.conftest import Changes, changes_of
from transformers import AutoModelForCausalLM

WEIGHTS = (1.0, 0.7)
UNIT = 2.0**-24
"""In the last place of weights below 1."""


@pytest.mark.parametrize(("method", "share"), [("task_arithmetic", 1.0), ("linear", 1 / sum(WEIGHTS))])
def test_the_same_as_concatenated_factors(
    large: Path, tmp_path: Path, method: str, share: float, our_changes: Callable[[Case], Changes]
) -> None:
    ours = our_changes(Case(name=method, method=method, weights=WEIGHTS, preset="paft"))
    base = AutoModelForCausalLM.from_pretrained(large / "base", dtype=torch.float32)
    adapted = PeftModel.from_pretrained(base, large / "sft", adapter_name="sft")
    adapted.load_adapter(large / "preference", adapter_name="preference")
    weights = [share * weight for weight in WEIGHTS]
    adapted.add_weighted_adapter(["sft", "preference"], weights, "merged", combination_type="cat")
    adapted.set_adapter("merged")
    adapted.merge_and_unload().save_pretrained(tmp_path / "peft")
    theirs = changes_of(large / "base", tmp_path / "peft")

    assert ours.keys() == theirs.keys()
    for name, change in ours.items():
        assert np.abs(change).max() > 1e-2
        # Each rounds weight + delta once, and fp32 products may be summed in another order.
        assert np.abs(change - theirs[name]).max() <= UNIT
