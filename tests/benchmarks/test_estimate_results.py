"""The table of errors."""

from benchmarks.estimate_load.measuring import Compared
from benchmarks.estimate_load.results import error_table, measurements
from benchmarks.estimate_load.settings import CONFIGURATIONS
from tests.paft_cli.estimates.shapes import sft_setting

from paft_api.stages import StageName
from paft_cli.estimates.memory import IMPORTED_BYTES, arm_memory


def test_there_are_at_least_twelve_arms_of_every_kind() -> None:
    assert len(CONFIGURATIONS) >= 12
    assert len({configuration.name for configuration in CONFIGURATIONS}) == len(CONFIGURATIONS)
    kinds = {(one.stage, one.ranks, one.checkpointing) for one in CONFIGURATIONS}
    assert {(stage, ranks) for stage, ranks, _ in kinds} == {
        (stage, ranks) for stage in (StageName.SFT, StageName.PREFERENCE) for ranks in (1, 2)
    }
    assert {checkpointing for *_, checkpointing in kinds} == {True, False}


def test_errors_are_shares_of_what_was_measured() -> None:
    memory = arm_memory(sft_setting(resources={"gpus_per_node": 0}))
    beyond = memory.peak - IMPORTED_BYTES["cpu"]
    one = Compared(
        configuration=CONFIGURATIONS[0],
        estimated=memory,
        measured=2 * (beyond - memory.allocator),
        as_it_runs=beyond // 2,
        imports=500,
    )
    assert one.error == -0.5
    assert abs(one.error_as_it_runs - 1.0) < 1e-6
    goals = {goal.name: goal.holds for goal in measurements([one]) if goal.goal is not None}
    assert goals == {
        "mean error of what exists at once": False,
        "largest error of what exists at once": False,
        "mean error of processes as they run": False,
    }
    table = error_table([one])
    assert [next(iter(column.cells)) for column in table.columns][8] == "-50.0%"
