"""An attempt at an arm on real ranks that write down which rows each of them computed in which step."""

import json
import os
from collections import deque
from functools import partial
from pathlib import Path
from typing import Any

from tests.ranks import Case, Outcome, outcome_of, run_case, run_on_ranks

from paft_api.run_spec import RunSpec
from paft_trainer.launching.arm_launcher import prepare_base
from paft_trainer.storage import open_store

Rows = dict[int, list[list[int]]]
"""For each step the numbers of the rows of each rank."""


def run_recorded(case: Case, *, ranks: int, directory: Path) -> tuple[Outcome, Rows]:
    """What rank 0 reported, and what all ranks computed. Each look at the clock of saves is a minute later."""
    directory.mkdir()
    base = prepare_base(case.run_spec, open_store(case.run_spec.storage))
    payload = (case.run_spec.to_json(), str(base), case.stop_at)
    run_on_ranks(_run_arm, payload, ranks=ranks, directory=directory, launched=ranks > 1)
    rows: Rows = {}
    for rank in range(ranks):
        for step, numbers in json.loads((directory / f"rows-{rank}.json").read_text()):
            rows.setdefault(step, []).append(numbers)
    return outcome_of(json.loads((directory / "outcome.json").read_text())), rows


def _run_arm(payload: tuple[str, str, int | None], directory: Path) -> None:
    from paft_trainer.training.rank import arm_run, join_world

    rank = int(os.environ.get("RANK", "0"))
    partitioned = join_world(arm_run(RunSpec.model_validate_json(payload[0])))
    _count_minutes()
    rows = _record_rows()
    outcome = run_case(rank, *payload, partitioned=partitioned)
    (directory / f"rows-{rank}.json").write_text(json.dumps(rows))
    if rank == 0:
        (directory / "outcome.json").write_text(json.dumps(outcome))


def _count_minutes() -> None:
    from paft_trainer.training import arm_trainer
    from paft_trainer.training.checkpoints.saver import CheckpointSaver

    minutes = iter(range(0, 10**9, 60))
    arm_trainer.CheckpointSaver = partial(CheckpointSaver, clock=lambda: next(minutes))  # type: ignore[misc,assignment]


def _record_rows() -> list[tuple[int, list[int]]]:
    """Step, and rows of its forward passes on this rank; grows as training gets on."""
    from paft_trainer.training.arm_trainer import ArmTrainerMixin
    from paft_trainer.training.batching.steps import OptimizerSteps

    laid_out: list[int] = []
    loaded: deque[list[int]] = deque()
    computed: list[tuple[int, list[int]]] = []
    inputs_of, step_of, compute = OptimizerSteps._inputs, OptimizerSteps.__getitem__, ArmTrainerMixin.training_step

    def lay_out(self: Any, numbers: Any) -> Any:
        laid_out.extend(numbers)
        return inputs_of(self, numbers)

    def load(self: Any, numbers: Any) -> Any:
        step = step_of(self, numbers)
        loaded.append(laid_out.copy())
        laid_out.clear()
        return step

    def train(self: Any, *arguments: Any, **options: Any) -> Any:
        computed.append((self.state.global_step + 1, loaded.popleft()))
        return compute(self, *arguments, **options)

    OptimizerSteps._inputs = lay_out  # type: ignore[method-assign]
    OptimizerSteps.__getitem__ = load  # type: ignore[method-assign]
    ArmTrainerMixin.training_step = train  # type: ignore[method-assign]
    return computed
