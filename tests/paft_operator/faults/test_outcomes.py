"""The judge of runs with faults sees what it is there to see."""

from dataclasses import replace

import pytest
from tests.paft_operator.faults.life_cycle import MAY_SKIP, Pace
from tests.paft_operator.faults.outcomes import (
    Change,
    Outcome,
    backwards_of,
    changes_of,
    compare,
    final_of,
    is_same_course,
    milestones_of,
)

RUNNING, WAITING, DONE = ("Unknown", "Running"), ("Unknown", "WaitingToRetry"), ("True", "Completed")
COURSE = [("Unknown", "Pending"), RUNNING, WAITING, RUNNING, DONE]
EXPECTED = Outcome(
    created_jobs=["JOB-prepare-1", "JOB-sft-1"],
    pods={"prepare-1": 1, "sft-1": 1},
    children={"Job JOB-sft-1": {"spec": {"parallelism": 1}}},
    changes={"SftSucceeded": COURSE},
    milestones=[["SftSucceeded=True"]],
    final={"phase": "Succeeded"},
    events={"SftStarted": 2},
    backwards=[],
    faults=[],
)


def status_with(**time: int) -> dict[str, object]:
    """Of one stage that took ten seconds."""
    instants = {"since": "2026-11-01T00:00:00Z", "until": "2026-11-01T00:00:10Z"}
    stage = {"name": "sft", "startedAt": instants["since"], "goodput": "80%", "time": instants | time}
    return {"stages": [stage], "conditions": []}


def test_how_long_things_took_is_left_out_but_not_that_seconds_add_up() -> None:
    whole, other, short = (final_of(status_with(queue=queue, train=8)) for queue in (2, 2, 1))
    assert whole == other == {"stages": [{"name": "sft", "time": True}], "conditions": []}
    assert short != whole
    assert final_of(status_with(queue=6, load=4)) == whole


def test_an_equal_outcome_is_right() -> None:
    assert compare(EXPECTED, EXPECTED, may_skip=()) == []


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"created_jobs": ["JOB-prepare-1", "JOB-sft-1", "JOB-sft-1"]}, "Jobs that were ever created"),
        ({"created_jobs": ["JOB-prepare-1"]}, "Jobs that were ever created"),
        ({"pods": {"prepare-1": 2, "sft-1": 1}}, "pods per attempt"),
        ({"children": {}}, "children"),
        ({"children": {"Job JOB-sft-1": {"spec": {"parallelism": 2}}}}, "Job JOB-sft-1"),
        ({"changes": {"SftSucceeded": COURSE[:-1]}}, "SftSucceeded went through"),
        ({"changes": {"SftSucceeded": [*COURSE, RUNNING]}}, "SftSucceeded went through"),
        ({"changes": {}}, "what status tells of"),
        ({"milestones": []}, "order of milestones"),
        ({"final": {"phase": "Failed"}}, "final status"),
        ({"events": {"SftStarted": 3}}, "Events told too often"),
        ({"backwards": ["sft: attempt went from 2 back to 1"]}, "sft: attempt"),
        ({"faults": ["stuck"]}, "stuck"),
    ],
)
def test_every_difference_is_told(change: dict[str, object], told: str) -> None:
    problems = compare(EXPECTED, replace(EXPECTED, **change), may_skip=MAY_SKIP[Pace.HURRIED])

    assert [problem for problem in problems if problem.startswith(told)]


@pytest.mark.parametrize(
    ("seen", "is_right"),
    [
        ([["Validated=True"], ["PreferenceSucceeded=True"], ["Merged=True"]], True),
        ([["PreferenceSucceeded=True", "Validated=True"], ["Merged=True"]], True),
        ([["PreferenceSucceeded=True"], ["Validated=True"], ["Merged=True"]], False),
        ([["Merged=True", "Validated=True"], ["PreferenceSucceeded=True"]], False),
        ([["Validated=True"], ["Merged=True"]], False),
        ([["Validated=True"], ["PreferenceSucceeded=True"], ["Merged=True"], ["Merged=True"]], False),
    ],
)
def test_what_one_status_tells_has_no_order(seen: list[list[str]], is_right: bool) -> None:
    expected = replace(EXPECTED, milestones=[["Validated=True"], ["PreferenceSucceeded=True"], ["Merged=True"]])

    assert (compare(expected, replace(EXPECTED, milestones=seen), may_skip=()) == []) is is_right


def test_an_event_may_be_lost() -> None:
    assert compare(EXPECTED, replace(EXPECTED, events={"SftStarted": 1}), may_skip=()) == []


@pytest.mark.parametrize(
    ("pace", "seen", "is_right"),
    [
        (Pace.PATIENT, COURSE, True),
        (Pace.PATIENT, [COURSE[0], RUNNING, DONE], True),
        (Pace.PATIENT, [COURSE[0], DONE], False),
        (Pace.PATIENT, [RUNNING, COURSE[0], DONE], False),
        (Pace.HURRIED, [COURSE[0], DONE], True),
        (Pace.HURRIED, [DONE], True),
        (Pace.HURRIED, [RUNNING], False),
        (Pace.HURRIED, [DONE, RUNNING], False),
        (Pace.HURRIED, [RUNNING, COURSE[0], DONE], False),
    ],
)
def test_only_what_was_over_may_be_passed_over(pace: Pace, seen: list[Change], is_right: bool) -> None:
    assert is_same_course(COURSE, seen, MAY_SKIP[pace]) is is_right


def _status(
    phase: str, state: str, *, attempt: int = 1, failures: int = 0, generation: int = 1, condition: str = "Unknown"
) -> dict[str, object]:
    return {
        "observedGeneration": generation,
        "phase": phase,
        "conditions": [
            {"type": "SftSucceeded", "status": condition, "reason": state},
            {"type": "Reconciling", "status": "False", "reason": "Completed"},
        ],
        "stages": [{"name": "sft", "state": state, "attempt": attempt, "failures": failures}],
    }


@pytest.mark.parametrize(
    ("before", "after", "steps_back"),
    [
        (_status("Training", "Running"), _status("Training", "Running", attempt=2), []),
        (_status("Training", "Succeeded"), _status("Training", "Running"), ["sft had succeeded and is Running again"]),
        (
            _status("Training", "Running", attempt=2),
            _status("Training", "Running"),
            ["sft: attempt went from 2 back to 1"],
        ),
        (
            _status("Training", "Waiting", failures=1),
            _status("Training", "Running"),
            ["sft: failures went from 1 back to 0"],
        ),
        (
            _status("Succeeded", "Succeeded"),
            _status("Merging", "Succeeded"),
            ["the phase went from Succeeded to Merging"],
        ),
        (
            _status("Training", "Running", generation=2),
            _status("Training", "Running"),
            ["status went back to an older generation"],
        ),
        (_status("Training", "Succeeded"), _status("Validating", "Pending", generation=2), []),
    ],
)
def test_steps_back_are_told(before: dict[str, object], after: dict[str, object], steps_back: list[str]) -> None:
    assert backwards_of([before, after]) == steps_back


def test_changes_and_milestones() -> None:
    statuses = [
        _status("Training", "Running"),
        _status("Training", "Running"),
        _status("Merging", "Succeeded", condition="True"),
    ]

    assert changes_of(statuses) == {
        "phase": [("Training", "Training"), ("Merging", "Merging")],
        "SftSucceeded": [("Unknown", "Running"), ("True", "Succeeded")],
        "Reconciling": [("False", "Completed")],
        "stage sft": [("1/0", "Running"), ("1/0", "Succeeded")],
    }
    assert milestones_of(statuses) == [["SftSucceeded=True"]]
