"""What is made of the times of the training benchmark."""

import pytest
from benchmarks.train import cases
from benchmarks.train_load.measuring import Start
from benchmarks.train_load.programs import Program
from benchmarks.train_load.results import Results, figures, goals
from benchmarks.train_load.timeline import Timeline

from paft_api.stages import StageName

SFT, PREFERENCE = StageName.SFT, StageName.PREFERENCE


def timeline(*seconds: float, tokens: int = 99, computed: int = 100) -> Timeline:
    steps = [sum(seconds[: index + 1]) for index in range(len(seconds))]
    return Timeline(
        started=0.0, imported=0.0, steps=steps, tokens=tokens, computed_tokens=computed, save_stall=seconds[-1]
    )


def test_a_step_is_the_median_of_all_but_the_first() -> None:
    assert timeline(9.0, 1.0, 2.0, 30.0).seconds_per_step == pytest.approx(2.0)


def test_padding_is_a_share_of_what_was_computed() -> None:
    assert timeline(1.0, tokens=75).padding == pytest.approx(0.25)


def test_every_goal_is_a_ratio_of_one_run() -> None:
    results = Results(start=Start(imports=7.0, load=3.0, first_step=1.0))
    seconds = {Program.OURS: 1.0, Program.ONLINE: 1.25, Program.TRL: 0.8, Program.BARE: 1.0}
    for program, stage, ranks in cases():
        # The slower of two rounds does not count.
        rounds = [timeline(0.0, seconds[program] * factor) for factor in (3, 1)]
        results.timelines[program, stage, ranks] = rounds

    told = {goal.name: (goal.value, goal.holds) for goal in goals(results)}
    assert told["sft, 1 ranks: step / bare loop"] == (1.0, True)
    assert told["sft, 2 ranks: step / TRL"] == (1.25, False)
    assert told["preference, 2 ranks: step / online"] == (0.8, False)
    assert told["preference, 1 ranks: padding"] == (pytest.approx(0.01), True)
    # A step is as long as a stall here, and a checkpoint comes after 200 of them.
    assert told["sft, 2 ranks: checkpoint stall"] == (pytest.approx(1 / 200), True)
    assert told["start: imports"] == (7.0, False)
    assert "sft, 2 ranks: step / bare loop" not in told
    assert "sft, 1 ranks: step / online" not in told
    assert {figure.holds for figure in figures(results)} == {None}
    assert len(figures(results)) == len(cases()) + 3
