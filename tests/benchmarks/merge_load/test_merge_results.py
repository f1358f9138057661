"""The pure parts of the merge benchmark, on figures that are easy to follow."""

from collections.abc import Sequence
from io import StringIO

import pytest
from benchmarks.measurements import WIDTH, Measurement
from benchmarks.merge_load.measured_run import Cost
from benchmarks.merge_load.ours import DARE_TIES, LINEAR, OTHERS, SWEEP, TIES, TIES_MODEL, WITH_GOALS
from benchmarks.merge_load.results import (
    COPY,
    MERGEKIT_COLD,
    ByteCounts,
    Results,
    Row,
    byte_goals,
    growth_goals,
    measurements_of,
    memory_goals,
    mergekit_goal,
    results_table,
    speed_goals,
)
from rich.console import Console

ELEMENTS = 1_000_000_000
START = 1.0


def cost(wall: float, *, cpu: float = 4.0, peak: float = 300.0) -> Cost:
    return Cost(wall_seconds=wall, cpu_seconds=cpu, peak_bytes=int(peak * 1e6), read=2_300_000_000, written=10**9)


def row(program: str, *costs: Cost, place: str = "files") -> Row:
    return Row(program=program, place=place, costs=costs, start=cost(2.0, cpu=START))


def results(**changed: Row) -> Results:
    rows = {
        "copy": Row(program=COPY, place="files", costs=(cost(5.0), cost(30.0), cost(4.0))),
        "linear": row(LINEAR.name, cost(6.0)),
        "ties": row(TIES.name, cost(10.0)),
        "model": row(TIES_MODEL.name, cost(10.0)),
        "dare": row(DARE_TIES.name, cost(15.0)),
        "sweep": row(SWEEP.name, cost(65.0)),
        "mergekit": Row(program=MERGEKIT_COLD, place="files", costs=(cost(300.0, cpu=400.0, peak=7000.0),)),
        "s3_copy": Row(program=COPY, place="S3", costs=(cost(20.0),)),
        "s3_linear": row(LINEAR.name, cost(30.0), place="S3"),
    }
    return Results(size="1.1b", adapted_elements=ELEMENTS, rows=tuple((rows | changed).values()))


def missed(measurements: Sequence[Measurement]) -> list[str]:
    return [measurement.name for measurement in measurements if measurement.holds is False]


def test_the_run_with_the_median_wall_time_speaks_for_its_program() -> None:
    median = row(LINEAR.name, cost(9.0, cpu=1.0), cost(7.0, cpu=2.0, peak=400.0), cost(8.0, cpu=3.0))

    assert (median.cost.wall_seconds, median.cost.cpu_seconds) == (8.0, 3.0)
    assert median.peak_megabytes == 400.0


def test_the_table_compares_each_program_with_the_copy_in_its_place() -> None:
    lines = _lines("files") + _lines("S3")

    assert "│ copy with SHA-256 │ 3 │ 5.00 │ 1.00 │ 4.00 │ 4.0 │ │ 300 │ 2.30 │ 1.00 │" in lines
    assert "│ ties │ 1 │ 10.00 │ 2.00 │ 4.00 │ 4.0 │ 3.0 │ 300 │ 2.30 │ 1.00 │" in lines
    assert "│ linear │ 1 │ 30.00 │ 1.50 │ 4.00 │ 4.0 │ 3.0 │ 300 │ │ │" in lines


def test_goals_hold_up_to_their_limits() -> None:
    measured = results()

    assert missed(speed_goals(measured) + memory_goals(measured) + [mergekit_goal(measured)]) == []


@pytest.mark.parametrize(
    ("changed", "names"),
    [
        ({"linear": row(LINEAR.name, cost(6.1))}, ["linear: wall over the copy with SHA-256"]),
        ({"model": row(TIES_MODEL.name, cost(10.1))}, ["ties, whole model: wall over the copy with SHA-256"]),
        ({"dare": row(DARE_TIES.name, cost(15.1, cpu=8.1))}, ["dare_ties: wall over the copy with SHA-256",
                                                              "dare_ties: CPU per adapted element"]),
        ({"sweep": row(SWEEP.name, cost(65.1))}, ["sweep of 8: wall less 7 copies, over one ties merge"]),
    ],
)  # fmt: skip
def test_goals_are_missed_beyond_their_limits(changed: dict[str, Row], names: list[str]) -> None:
    assert missed(speed_goals(results(**changed))) == names


def test_mergekit_must_be_thirty_times_slower() -> None:
    faster = results(mergekit=Row(program=MERGEKIT_COLD, place="files", costs=(cost(299.0),)))

    assert missed([mergekit_goal(faster)]) == ["ties: times faster than mergekit, cold"]


def test_the_merge_with_the_largest_peak_speaks_for_its_place() -> None:
    large = results(s3_linear=row(LINEAR.name, cost(30.0), cost(30.0, peak=513.0), place="S3"))

    assert missed(memory_goals(large)) == ["S3: largest peak memory (linear)"]


def test_memory_must_not_grow_with_the_model() -> None:
    smaller = {"linear": cost(1.0, peak=280.0), "ties": cost(1.0, peak=270.0)}

    assert missed(growth_goals(results(), smaller, "0.3b")) == ["ties: peak memory over that at 0.3b"]


def test_bytes_may_be_read_and_written_once() -> None:
    assert missed(byte_goals("ties", "S3", ByteCounts(base_read=1020, output_written=1000), 1000)) == []
    assert missed(byte_goals("ties", "S3", ByteCounts(base_read=2000, output_written=1500), 1000)) == [
        "ties, S3: bytes of the base's weights read, over their size",
        "ties, S3: bytes of weights written, over their size",
    ]


def test_every_row_has_figures_and_only_ours_one_without_the_start() -> None:
    names = [measurement.name for measurement in measurements_of(results())]

    assert len(set(names)) == len(names)
    assert "1.1b, files, ties: CPU per element without start" in names
    assert "1.1b, files, mergekit, ties, cold: CPU per element without start" not in names
    assert "1.1b, S3, linear: wall over the copy" in names


def test_a_sweep_is_eight_checkpoints() -> None:
    assert SWEEP.checkpoints == 8
    assert len({merge.name for merge in (*WITH_GOALS, *OTHERS, SWEEP)}) == 8


def _lines(place: str) -> list[str]:
    screen = StringIO()
    Console(file=screen, width=WIDTH).print(results_table(results(), place, "conditions"))
    return [" ".join(line.split()) for line in screen.getvalue().splitlines()]
