"""One arm that goes on at another number of ranks each time: its rows and its losses are those of an unbroken one."""

from itertools import chain, pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from tests.paft_trainer.training.checkpoints.recorded_rows import Rows, run_recorded
from tests.ranks import Case, Outcome, run_cases
from tests.run_specs import arm_run_spec, write_sums
from tests.tiny_models import build_checkpoint

from paft_api.report import ReportState
from paft_trainer.training.sampling import EpochSampler

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

STEPS = 50
BATCH = 12
ROWS = 48
RANKS_UNTIL = {1: 13, 2: 25, 4: 39, 3: STEPS}
"""For each number of ranks, in this order, the step at which it is asked to stop: within an epoch, of four steps."""
SAVED_EVERY_MINUTES = 5


class Attempt(NamedTuple):
    ranks: int
    outcome: Outcome
    rows: Rows


def case(root: Path, name: str, *, processes: int, attempt: int = 1, stop_at: int | None = None) -> Case:
    training = {
        "maxSteps": STEPS,
        "globalBatchSize": BATCH,
        "microBatchSize": 1,
        "saveSeconds": 60 * SAVED_EVERY_MINUTES,
        "keep": {"last": 100},
    }
    run_spec = arm_run_spec(
        "sft",
        base=root / "base",
        data=root / "chats.jsonl",
        artifacts=root / name,
        processes=processes,
        attempt=attempt,
        training=training,
        l1={"mode": "proximal", "lambda": 2e-3},
    )
    return Case(run_spec=run_spec, stop_at=stop_at)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("elastic")
    build_checkpoint(root / "base", "llama", tied=True)
    write_sums(root, rows=ROWS)
    return root


@pytest.fixture(scope="module")
def unbroken(root: Path) -> Outcome:
    (root / "one").mkdir()
    (outcome,) = run_cases([case(root, "unbroken", processes=1)], ranks=1, directory=root / "one")
    return outcome


@pytest.fixture(scope="module")
def attempts(root: Path) -> list[Attempt]:
    done = []
    for number, (ranks, until) in enumerate(RANKS_UNTIL.items(), start=1):
        stop_at = until if until < STEPS else None
        one = case(root, "elastic", processes=ranks, attempt=number, stop_at=stop_at)
        done.append(Attempt(ranks, *run_recorded(one, ranks=ranks, directory=root / f"ranks-{ranks}")))
    return done


def test_each_attempt_goes_on_where_the_one_before_saved(attempts: list[Attempt]) -> None:
    for before, after in pairwise(attempts):
        assert before.outcome.last.state is ReportState.STOPPED
        assert after.outcome.last.progress.resumed_step == before.outcome.last.progress.checkpoint_step
    assert [attempt.outcome.last.progress.step for attempt in attempts] == list(RANKS_UNTIL.values())
    assert attempts[-1].outcome.last.state is ReportState.SUCCEEDED


def test_no_row_is_passed_over_or_seen_twice_at_any_number_of_ranks(attempts: list[Attempt]) -> None:
    sampler = EpochSampler(rows=ROWS, global_batch_size=BATCH, seed=0)
    meant: list[list[int]] = []
    for epoch in range(-(-STEPS * BATCH // ROWS)):
        sampler.set_epoch(epoch)
        order = list(sampler)
        meant += [sorted(order[first : first + BATCH]) for first in range(0, ROWS, BATCH)]

    seen: list[list[int]] = []
    for attempt in attempts:
        assert list(attempt.rows) == list(range(len(seen) + 1, len(seen) + 1 + len(attempt.rows)))
        assert {len(rows_by_rank) for rows_by_rank in attempt.rows.values()} == {attempt.ranks}
        # Each rank has its share.
        assert {len(rows) > 0 for rows_by_rank in attempt.rows.values() for rows in rows_by_rank} == {True}
        seen += [sorted(chain.from_iterable(rows_by_rank)) for rows_by_rank in attempt.rows.values()]
    assert seen == meant[:STEPS]


def test_the_losses_are_those_of_an_unbroken_training(attempts: list[Attempt], unbroken: Outcome) -> None:
    losses: list[float] = []
    for attempt in attempts:
        # A resumed attempt's first reports still tell the last loss of the one before.
        losses += attempt.outcome.losses[-len(attempt.rows) :]
    assert len(losses) == len(unbroken.losses) == STEPS
    np.testing.assert_allclose(losses, unbroken.losses, rtol=0, atol=1e-4)
    assert losses[-1] < losses[0] - 0.005


def test_all_ranks_save_by_time_together(attempts: list[Attempt]) -> None:
    """The rank that looks at the clock is one; the others would wait for it for ever if they did not hear of it."""
    for attempt in attempts:
        saved = {report.progress.checkpoint_step for report in attempt.outcome.reports} - {None}
        assert len(saved) >= len(attempt.rows) // (SAVED_EVERY_MINUTES + 2), attempt.ranks
