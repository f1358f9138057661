"""The pure parts of the benchmark's steered arms and of its optimizer steps."""

import pytest
from benchmarks.arm_outcomes import ArmRun
from benchmarks.l1_results import Row
from benchmarks.l1_steered import Steered, steered_measurements, subgradient_goals
from benchmarks.l1_step_cost import measure_step_cost, step_cost_measurements

from paft_api.report import Sparsity


def run(*, a: float, b: float, rows: float = 0.0, eval_loss: float = 1.0, warned: bool = False) -> ArmRun:
    sparsity = Sparsity(
        a_zero=a,
        a_small=a,
        a_zero_bf16=a,
        a_relative=a,
        b_zero=b,
        b_small=b,
        b_zero_bf16=b,
        b_relative=b,
        delta_zero=0.1,
        delta_small=0.1,
        delta_zero_bf16=0.1,
        delta_relative=0.1,
        delta_norm=2.0,
        delta_zero_rows=rows,
    )
    return ArmRun(eval_loss=eval_loss, sparsity=sparsity, tokens_per_second=1.0, warnings=("out of reach",) * warned)


@pytest.mark.parametrize(
    ("of", "by_rows", "missed"),
    [
        (run(a=0.52, b=0.48), False, []),
        (run(a=0.46, b=0.5), False, ["arm: A, off its target"]),
        (run(a=0.46, b=0.5, warned=True), False, []),
        (run(a=0.5, b=0.54, warned=True), False, ["arm: B, off its target"]),
        (run(a=0.5, b=0.54, rows=0.5), True, []),
    ],
)
def test_a_share_is_off_its_target_by_three_points_at_most_where_it_can_be_reached(
    of: ArmRun, by_rows: bool, missed: list[str]
) -> None:
    measured = steered_measurements([Steered(name="arm", steps=9, target=0.5, by_rows=by_rows, run=of)])

    assert [entry.name for entry in measured if entry.holds is False] == missed


def test_the_papers_loss_and_ours_have_to_agree() -> None:
    papers = Row(arm="subgradient", strength=1e-3, steps=1, tokens=1, run=run(a=0, b=0))
    other = Row(arm="subgradient", strength=1e-3, steps=1, tokens=1, run=run(a=0, b=0, eval_loss=1.01))

    assert [goal.holds for goal in subgradient_goals(papers=papers, product=papers)] == [True, True]
    assert [goal.holds for goal in subgradient_goals(papers=papers, product=other)] == [False, True]


def test_every_form_of_the_optimizers_step_is_timed_and_compared_with_a_training_step() -> None:
    seconds = measure_step_cost(4096, threads=1)
    measured = step_cost_measurements(seconds, seconds_per_step=1e-12)

    assert set(seconds) == {"AdamW", "proximal", "steered", "steered by rows"}
    assert all(taken > 0 for taken in seconds.values())
    assert [entry.holds for entry in measured if entry.goal is not None] == [False] * 3
    assert step_cost_measurements({"AdamW": 1.0, "proximal": 1.1}, seconds_per_step=20.0)[-1].holds is True
