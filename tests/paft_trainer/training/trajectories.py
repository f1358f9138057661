"""Records the losses of both arms' short trainings: `python -m tests.paft_trainer.training.trajectories --write`."""

import json
import sys
import tempfile
from pathlib import Path

from tests.paft_trainer.training.dpo_losses.test_loss_trajectories import loss_cases
from tests.paft_trainer.training.test_trajectories import ORPO, PENALTIES, RECORDED, case
from tests.ranks import run_cases
from tests.run_specs import write_sums
from tests.tiny_models import build_checkpoint


def record() -> dict[str, list[float]]:
    """The losses of each step, padded, in one process: the plainest configuration."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        build_checkpoint(folder / "base", "llama", tied=True)
        write_sums(folder)
        cases = {
            "sft": case(folder, "sft", "sft", processes=1, packing=False),
            "dpo": case(folder, "preference", "dpo", processes=1, packing=False),
            "orpo": case(folder, "preference", "orpo", processes=1, packing=False, orpo=ORPO),
        }
        cases |= {name: case(folder, "sft", name, processes=1, packing=False, l1=l1) for name, l1 in PENALTIES.items()}
        cases |= loss_cases(folder, processes=1, packing=False)
        outcomes = run_cases(list(cases.values()), ranks=1, directory=folder)
        return {arm: outcome.losses for arm, outcome in zip(cases, outcomes, strict=True)}


if __name__ == "__main__":
    assert sys.argv[1:] == ["--write"]
    RECORDED.write_text(json.dumps(record(), indent=2) + "\n", encoding="utf-8")
