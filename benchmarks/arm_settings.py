"""The two SFT arms that are measured: a toy of seconds, and the arm of the demo on SmolLM2-135M-Instruct.

The toy is the tests' tiny Llama on chats about small sums. The demo's arm is that of examples/quickstart.yaml with the
model and the data that hack/demo.py sets up, but read from files, trained longer and at the default learning rate.
"""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import transformers
from benchmarks.processes import ROOT, run_python
from tests.run_specs import write_sums
from tests.tiny_models import build_checkpoint

from paft_api.documents import load_job
from paft_api.spec.data import DataFormat, DataSource, DataSpec
from paft_api.spec.lora import LoraSpec
from paft_api.spec.resources import ArmResources
from paft_api.spec.sft import L1Spec, SftSpec
from paft_api.spec.training import SftTrainingSpec
from paft_trainer.storage.file_store import uri_of

RANKS = 2


@dataclass(frozen=True, kw_only=True)
class ArmSetting:
    """An arm to be measured. `base`: folder. `spec`: without regard to λ. `threads`: of each process."""

    name: str
    base: Path
    spec: SftSpec
    threads: int

    def spec_at(self, strength: float, *, steps: int | None = None) -> SftSpec:
        """The arm at λ = `strength`, evaluated and saved at the end only. `steps`: other than the setting's."""
        return self.spec_with(self.spec.l1.model_copy(update={"lambda_": strength}), steps=steps)

    def spec_with(self, l1: L1Spec, *, steps: int | None = None) -> SftSpec:
        """The same with another penalty."""
        training = self.spec.training
        steps = steps or training.max_steps
        return self.spec.model_copy(
            update={
                "l1": l1,
                "training": training.model_copy(update={"max_steps": steps, "eval_steps": steps, "save_steps": steps}),
            }
        )


def toy(folder: Path) -> ArmSetting:
    """Two layers of 64 dimensions, LoRA r=8, 60 steps of 4 rows; base and data are written into `folder`."""
    transformers.utils.logging.disable_progress_bar()
    base = build_checkpoint(folder / "base", "llama", tied=True, hidden_size=64)
    chats, _ = write_sums(folder, rows=64)
    rows = chats.read_text(encoding="utf-8").splitlines(keepends=True)
    train, held_out = folder / "train.jsonl", folder / "eval.jsonl"
    train.write_text("".join(rows[:48]), encoding="utf-8")
    held_out.write_text("".join(rows[48:]), encoding="utf-8")
    spec = SftSpec(
        data=_chats(train, held_out),
        lora=LoraSpec(r=8, alpha=16.0),
        training=SftTrainingSpec(
            max_steps=60, learning_rate=5e-3, global_batch_size=4, max_length=64, warmup_ratio=0.0
        ),
        resources=ArmResources(gpus_per_node=0, processes_per_node=RANKS),
    )
    return ArmSetting(name="toy", base=base, spec=spec, threads=1)


def demo(state: Path, *, steps: int) -> ArmSetting:
    """The demo's SFT arm, `steps` steps of 4 rows at lr 2e-4. The base is made once and kept under `state`."""
    base = state / "smollm2-135m-instruct"
    if not base.is_dir():
        partial = state / "smollm2-135m-instruct.partial"
        shutil.rmtree(partial, ignore_errors=True)
        # A process of its own, so that its memory is free again when the ranks run.
        run_python(["-m", "hack.smollm2", str(partial)], state / "smollm2.log", os.environ)
        partial.rename(base)
    quickstart = load_job(ROOT / "examples" / "quickstart.yaml").spec.sft
    data = ROOT / "examples" / "data"
    spec = quickstart.model_copy(
        update={
            "data": _chats(data / "gsm8k-train.jsonl", data / "gsm8k-eval.jsonl"),
            "training": quickstart.training.model_copy(update={"max_steps": steps, "learning_rate": 2e-4}),
        }
    )
    return ArmSetting(name="demo", base=base, spec=spec, threads=max(1, (os.cpu_count() or 1) // RANKS))


def _chats(train: Path, held_out: Path) -> DataSpec:
    return DataSpec(
        train=(DataSource(uri=uri_of(train), format=DataFormat.MESSAGES),),
        eval=(DataSource(uri=uri_of(held_out), format=DataFormat.MESSAGES),),
    )
