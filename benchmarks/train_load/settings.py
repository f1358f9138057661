"""The arms whose steps are measured: SmolLM2-135M-Instruct on GSM8K, or a small random Llama on the same rows."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from benchmarks.processes import ROOT, run_python
from tests.run_specs import arm_run_spec
from tests.tiny_models import build_checkpoint
from transformers import AutoConfig, AutoModelForCausalLM

from paft_api.run_spec import RunSpec
from paft_api.stages import StageName

DATA = ROOT / "examples" / "data"
ROWS_PER_STEP = 4
ROWS_PER_PASS = 2
LORA_R = 16


@dataclass(frozen=True, kw_only=True)
class TrainSetting:
    """What is trained. `steps`: of each training. `rounds`: how often every program runs."""

    name: str
    base: Path
    max_length: int
    steps: int
    rounds: int

    def run_spec(self, stage: StageName, folder: Path, *, ranks: int) -> RunSpec:
        """An attempt at an arm with artifacts of its own, saved half-way and at its end."""
        training: dict[str, Any] = {
            "maxSteps": self.steps,
            "saveSteps": self.steps // 2,
            "globalBatchSize": ROWS_PER_STEP,
            "microBatchSize": ROWS_PER_PASS,
            "maxLength": self.max_length,
            "learningRate": 1e-4,
        }
        data = DATA / ("gsm8k-train.jsonl" if stage is StageName.SFT else "pairs-train.jsonl")
        run_spec = arm_run_spec(
            stage.value, base=self.base, data=data, artifacts=folder, processes=ranks, training=training
        )
        document = run_spec.to_document()
        document[stage.value]["world"]["threadsPerProcess"] = threads_of(ranks)  # type: ignore[index]
        document[stage.value]["spec"]["lora"]["r"] = LORA_R  # type: ignore[index]
        return RunSpec.model_validate(document, strict=False)


def threads_of(ranks: int) -> int:
    """Threads of each of so many processes."""
    return max(1, (os.cpu_count() or 1) // ranks)


def trained_entries(base: Path) -> int:
    """Entries of A and B together, on all linear layers."""
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(base))
    linear = [one for name, one in model.named_modules() if isinstance(one, torch.nn.Linear) and name != "lm_head"]
    return sum(LORA_R * (one.in_features + one.out_features) for one in linear)


def small(folder: Path) -> TrainSetting:
    """Two layers of 256 dimensions with a token for each byte."""
    base = build_checkpoint(folder / "base", "llama", tied=True, hidden_size=256)
    return TrainSetting(name="small random Llama", base=base, max_length=512, steps=5, rounds=1)


def smollm2(state: Path) -> TrainSetting:
    """The base is made once and kept under `state`."""
    base = state / "smollm2-135m-instruct"
    if not base.is_dir():
        partial = state / "smollm2-135m-instruct.partial"
        shutil.rmtree(partial, ignore_errors=True)
        run_python(["-m", "hack.smollm2", str(partial)], state / "smollm2.log", os.environ)
        partial.rename(base)
    return TrainSetting(name="SmolLM2-135M-Instruct", base=base, max_length=512, steps=6, rounds=2)
