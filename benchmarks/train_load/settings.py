"""The arms whose steps are measured: SmolLM2-135M-Instruct on GSM8K, or a small random Llama on the same rows."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.processes import ROOT, run_python
from tests.run_specs import arm_run_spec
from tests.tiny_models import build_checkpoint

from paft_api.run_spec import RunSpec
from paft_api.stages import StageName

DATA = ROOT / "examples" / "data"
ROWS_PER_STEP = 4
ROWS_PER_PASS = 2


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
        threads = max(1, (os.cpu_count() or 1) // ranks)
        run_spec = arm_run_spec(
            stage.value, base=self.base, data=data, artifacts=folder, processes=ranks, training=training
        )
        document = run_spec.to_document()
        document[stage.value]["world"]["threadsPerProcess"] = threads  # type: ignore[index]
        document[stage.value]["spec"]["lora"]["r"] = 16  # type: ignore[index]
        return RunSpec.model_validate(document, strict=False)


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
