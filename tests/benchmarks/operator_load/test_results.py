import math
from dataclasses import replace
from io import StringIO

import pytest
from benchmarks.measurements import WIDTH, Measurement
from benchmarks.operator_load.operator_run import observed_jobs, pause_until_next_look
from benchmarks.operator_load.outcome import Outcome
from benchmarks.operator_load.request_counts import Request
from benchmarks.operator_load.results import (
    LoadRun,
    Restart,
    goals_at_rest,
    goals_under_load,
    load_table,
    measurements_of,
    percentile,
    ratios,
)
from rich.console import Console

SEEN = Outcome(
    seconds=10.0,
    changes=500,
    held_back=2,
    reports=[0.01] * 98 + [0.3, 0.9],
    jobs=[0.02] * 99 + [0.4],
    own_writes=[0.005] * 10,
    transitions=40,
    progress_writes=400,
)
RUN = LoadRun(
    name="operator",
    outcome=SEEN,
    requests={
        Request("patch", "paftjobs/status", 200): 430,
        Request("create", "events", 201): 40,
        Request("patch", "configmaps", 201): 20,
        Request("get", "jobs", 200): 10,
    },
    cpu_seconds=4.0,
    server_cpu_seconds=9.0,
    resident_megabytes=100.0,
    peak_megabytes=120.0,
    load_average=2.5,
)


RESTART = Restart(seconds=5.0, cpu_seconds=3.0, writes=0, peak_megabytes=110.0, first_change=2.0, load_average=1.0)


def changed(**fields: object) -> LoadRun:
    """With something else seen."""
    return replace(RUN, outcome=replace(SEEN, **fields))


def missed(measurements: list[Measurement]) -> list[str]:
    return [measurement.name for measurement in measurements if measurement.holds is False]


@pytest.mark.parametrize(("percent", "expected"), [(50, 5.0), (99, 10.0), (100, 10.0), (10, 1.0), (11, 2.0)])
def test_a_percentile_is_a_value_that_was_measured(percent: float, expected: float) -> None:
    assert percentile([float(value) for value in range(10, 0, -1)], percent) == expected


def test_without_values_there_is_no_percentile() -> None:
    assert math.isnan(percentile([], 99))


def test_progress_and_new_objects_are_no_writes_of_transitions() -> None:
    assert RUN.writes_per_transition == (430 + 40 - 400) / 40


def test_good_figures_miss_no_goal() -> None:
    assert missed(goals_under_load(RUN, jobs=1000)) == []
    assert missed(goals_at_rest(jobs=1000, idle_seconds=300, idle_writes=0, restart=RESTART)) == []


@pytest.mark.parametrize(
    ("run", "name"),
    [
        (changed(reports=[0.01] * 98 + [0.6, 0.9]), "1000 PaftJobs: report to status, p99"),
        (changed(jobs=[]), "1000 PaftJobs: end of a Job to status, p99"),
        (changed(unseen=1), "1000 PaftJobs: changes that never showed"),
        (changed(progress_writes=380), "1000 PaftJobs: writes per transition"),
        (replace(RUN, resident_megabytes=131.0), "1000 PaftJobs: RSS"),
    ],
)
def test_each_goal_under_load_is_missed_where_its_figure_is_bad(run: LoadRun, name: str) -> None:
    assert missed(goals_under_load(run, jobs=1000)) == [name]


def test_goals_at_rest_are_missed_by_one_write_and_a_slow_start() -> None:
    restart = replace(RESTART, seconds=5.1, writes=1)
    assert missed(goals_at_rest(jobs=1000, idle_seconds=20, idle_writes=1, restart=restart)) == [
        "1000 PaftJobs: writes over 20 idle seconds",
        "1000 PaftJobs: restart until all are observed",
        "1000 PaftJobs: restart: writes",
    ]


def test_more_paftjobs_have_goals_of_their_own_and_fewer_those_of_a_thousand() -> None:
    wanted = {
        jobs: [one.goal for one in goals_at_rest(jobs=jobs, idle_seconds=1, idle_writes=0, restart=RESTART)][1]
        for jobs in (300, 1000, 5000)
    }

    assert wanted == {300: "<= 5", 1000: "<= 5", 5000: "<= 20"}


def test_ratios_compare_what_one_change_costs() -> None:
    peer = replace(changed(reports=[0.02] * 100, changes=250), cpu_seconds=1.0, resident_megabytes=50.0)

    values = {one.name.split(": ")[1].split(",")[0]: one.value for one in ratios(RUN, peer, jobs=1000)}
    assert values == {"p50": 0.5, "p99": 15.0, "API requests per change": 0.5, "CPU per change": 2.0, "RSS": 2.0}


def test_every_figure_is_told_once() -> None:
    names = [one.name for one in measurements_of(RUN, jobs=1000)]

    assert len(names) == len(set(names))
    assert "1000 PaftJobs, operator: end of a Job to status, p99" in names


def test_the_table_has_one_column_per_run() -> None:
    screen = StringIO()
    peer = replace(changed(jobs=[], transitions=0), name="bare kopf")
    Console(file=screen, width=WIDTH).print(load_table([peer, RUN], title="1000 PaftJobs"))

    lines = [" ".join(line.split()) for line in screen.getvalue().splitlines()]
    assert "│ end of a Job to status: p50 / p99 / max, ms │ │ 20 / 20 / 400 │" in lines
    assert "│ writes per transition │ │ 1.75 │" in lines


def test_paftjobs_of_all_phases_are_observed() -> None:
    metrics = '# HELP paft_jobs x\npaft_jobs{phase="Training"} 7.0\npaft_jobs{phase="Failed"} 2.0\npaft_leader 1.0\n'

    assert observed_jobs(metrics) == 9


def test_what_the_driver_saw_arrives_whole() -> None:
    assert Outcome.from_json(SEEN.to_json()) == SEEN


def test_looks_at_metrics_are_few_until_the_end_is_near() -> None:
    assert pause_until_next_look(100, 1000, 0.25) == pytest.approx(0.8 * 0.25 * 9)
    assert pause_until_next_look(0, 1000, 0.25) == 5.0
    assert pause_until_next_look(999, 1000, 5.0) == 0.1
