"""One trial: an attempt at an arm that meets one fault, the next attempt, and what must be true of both.

- The attempt ends by itself, with the right cause, in the termination message and the exit code, and no rank is left.
- Nothing that is not finite was saved, and after a NaN no adapter was published.
- The next attempt needs nobody: it goes on from the checkpoint of the newest step at which one was due, or from the one
  before where that was on its way to storage, at whatever number of ranks.
- It ends as an arm that nothing interrupted: with the same adapter, byte for byte, at the same number of ranks; else
  with losses and weights within a tolerance.
"""

import shutil
import threading
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from tests.arm_faults.drawn_trials import Kind, Nodes, Trial
from tests.arm_faults.faults import RightEnd, strike
from tests.arm_faults.observed_attempts import ObservedAttempt
from tests.arm_faults.small_disk import free, small_disk
from tests.arm_faults.torn_checkpoints import tear_newest
from tests.arm_faults.verdicts import wrong_end, wrong_remains, wrong_result, wrong_start, wrong_success
from tests.paft_trainer.launched_arms import LORA_DROPOUT
from tests.run_specs import write_sums
from tests.tiny_models import build_checkpoint

from paft_api.causes import EXIT_SUCCEEDED
from paft_api.report import AdapterResult
from paft_api.stages import StageName

_SHOWN_CHARACTERS = 6000


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """`happened`: the fault, in words; empty where the arm had come to its end before."""

    happened: list[str]
    problems: list[str]


class Trials:
    """A tiny base with data under `root`, and the arms on it that nothing interrupts."""

    def __init__(self, root: Path) -> None:
        self._root = root
        build_checkpoint(root / "base")
        write_sums(root)
        self._unbroken: dict[tuple[StageName, int, float], AdapterResult] = {}
        self._lock = threading.Lock()

    def judge(self, trial: Trial) -> Outcome:
        """Run and look."""
        artifacts = self._root / trial.key.replace(" ", "-")
        disk = _disk_of(trial, artifacts)
        try:
            with nullcontext() if disk is None else small_disk(disk):
                return self._judge(trial, artifacts, disk)
        finally:
            shutil.rmtree(artifacts)

    def unbroken(self, stage: StageName, ranks: int, dropout: float) -> AdapterResult:
        """What such an arm comes to."""
        key = stage, ranks, dropout
        with self._lock:
            if key not in self._unbroken:
                self._unbroken[key] = self._train_unbroken(*key)
            return self._unbroken[key]

    def _train_unbroken(self, stage: StageName, ranks: int, dropout: float) -> AdapterResult:
        name, world = f"unbroken-{stage}-{ranks}-{dropout}", Nodes(nodes=1, processes=ranks)
        with ObservedAttempt(self._root, name, 1, world, stage, dropout) as attempt:
            attempt.start()
            assert attempt.end() == [EXIT_SUCCEEDED], attempt.log()
            assert attempt.report.adapter is not None
            return attempt.report.adapter

    def _judge(self, trial: Trial, artifacts: Path, disk: Path | None) -> Outcome:
        # Another number of ranks draws other dropout.
        dropout = LORA_DROPOUT if trial.after.ranks == trial.before.ranks else 0.0
        with (
            ObservedAttempt(self._root, artifacts.name, 1, trial.before, trial.stage, dropout) as first,
            ObservedAttempt(self._root, artifacts.name, 2, trial.after, trial.stage, dropout) as second,
        ):
            end, problems = _run_with_fault(trial, first, disk)
            torn = None
            if trial.kind is Kind.TORN:
                torn = tear_newest(first.nodes[0].artifacts, trial.variant, trial.draws)
            problems += self._go_on(trial, first, second, dropout, torn)
            if problems:
                problems += [attempt.log()[-_SHOWN_CHARACTERS:] for attempt in (first, second)]
        happened = end is not None and not (trial.kind is Kind.TORN and torn is None)
        return Outcome(happened=[trial.variant] if happened else [], problems=problems)

    def _go_on(
        self, trial: Trial, first: ObservedAttempt, second: ObservedAttempt, dropout: float, torn: int | None
    ) -> list[str]:
        second.start()
        problems = [*wrong_success(second.end())]
        if problems:
            return problems
        adapter = second.report.adapter
        assert adapter is not None
        unbroken = self.unbroken(trial.stage, trial.before.ranks, dropout)
        same_world = trial.after.ranks == trial.before.ranks
        return [
            *wrong_start(trial, first, second, torn),
            *wrong_result(adapter, unbroken, same_world=same_world),
        ]


def _run_with_fault(trial: Trial, attempt: ObservedAttempt, disk: Path | None) -> tuple[RightEnd | None, list[str]]:
    """How the attempt had to end, and what is wrong with its end; None where it had come to its end before."""
    if trial.kind is Kind.NAN:
        where, value = trial.variant.split()
        attempt.poison(at_step=trial.moment, at_rank=trial.victim, where=where, value=value)
    attempt.start()
    end = strike(trial, attempt, disk)
    codes = attempt.end()
    if disk is not None:
        free(disk)
    if end is None:
        return None, [*wrong_success(codes)]
    if codes[end.node] == EXIT_SUCCEEDED and trial.kind is not Kind.NAN:
        # Of two nodes the other one was past all that it had to do with the lost one.
        return None, [*wrong_success([codes[end.node]] if trial.kind is Kind.LOST_PEER else codes)]
    return end, [*wrong_end(attempt, codes, end), *wrong_remains(trial, attempt)]


def _disk_of(trial: Trial, artifacts: Path) -> Path | None:
    """Where a small disk is mounted: the scratch folder of the first attempt, or what the arm stores."""
    if trial.kind is not Kind.FULL_DISK:
        return None
    return artifacts / (f"scratch-{trial.stage}-1-0" if trial.variant == "scratch" else trial.stage)
