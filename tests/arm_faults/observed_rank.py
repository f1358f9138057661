"""A rank of the trainer's own, beginning with what trials need: its process id, its log, and NaN at a step."""

import json
import os
from pathlib import Path
from typing import Any

from paft_api.run_spec import RunSpec
from paft_cli.local.attempt_process import start_time_of

POISON_FILE = "poison.json"


def observation_folder(run_spec: RunSpec) -> Path:
    """Beside the scratch folder, whose disk may be full."""
    scratch = Path(run_spec.scratch_directory)
    return scratch.with_name(f"{scratch.name}-observed")


def observed_rank(run_spec_json: str, base_folder: str) -> None:
    """In the place of `arm_launcher._rank`, which it calls."""
    from paft_trainer.launching import arm_launcher

    rank = int(os.environ["RANK"])
    folder = observation_folder(RunSpec.model_validate_json(run_spec_json))
    write_output_to(folder / f"rank-{rank}.log")
    pid = os.getpid()
    (folder / f"rank-{rank}.new").write_text(f"{pid} {start_time_of(pid)}")
    (folder / f"rank-{rank}.new").rename(folder / f"rank-{rank}.pid")
    poison = folder / POISON_FILE
    if poison.exists():
        _poison(**json.loads(poison.read_text()), rank=rank)
    arm_launcher._rank(run_spec_json, base_folder)


def write_output_to(file: Path) -> None:
    """Of this process and of what it starts."""
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for standard in (1, 2):
        os.dup2(descriptor, standard)
    os.close(descriptor)


def _poison(*, at_step: int, at_rank: int, where: str, value: str, rank: int) -> None:
    """Once, at a step of one rank: the output of the last layer, or the gradient of it, is no finite number."""
    from paft_trainer.training.arm_trainer import ArmTrainerMixin

    if rank != at_rank:
        return
    unpoisoned = ArmTrainerMixin.training_step

    def training_step(trainer: Any, model: Any, *arguments: Any) -> Any:
        if trainer.state.global_step + 1 != at_step:
            return unpoisoned(trainer, model, *arguments)
        (norm,) = (module for name, module in model.named_modules() if name.endswith("model.norm"))
        hook = (
            norm.register_forward_hook(lambda module, inputs, output: output * float(value))
            if where == "loss"
            else norm.register_full_backward_pre_hook(
                lambda module, gradients: tuple(gradient * float(value) for gradient in gradients)
            )
        )
        with hook:
            return unpoisoned(trainer, model, *arguments)

    ArmTrainerMixin.training_step = training_step
