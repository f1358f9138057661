"""Each transition told once."""

import pytest
from tests.paft_operator.planner.situations import (
    failed,
    job,
    planned,
    planned_in_turn,
    report,
    running,
    stopped,
    succeeded,
)

from paft_api.causes import Cause
from paft_api.report import Activity, Progress
from paft_api.stages import ARMS, StageName
from paft_operator.planner.actions import Plan
from paft_operator.planner.observation import AttemptObservation

PREPARE, SFT, PREFERENCE, MERGE = StageName
PREPARED = succeeded(PREPARE)


def _told(result: Plan) -> list[tuple[str, str, str]]:
    return [(event.type, event.reason, event.message) for event in result.events]


def test_the_start_of_stages() -> None:
    assert _told(planned(job())) == [("Normal", "PrepareStarted", "prepare attempt 1 started")]


def test_the_end_of_prepare_and_the_start_of_arms() -> None:
    assert _told(planned_in_turn(job(), (running(PREPARE),), (PREPARED,))) == [
        ("Normal", "PrepareSucceeded", "prepare succeeded"),
        ("Normal", "SftStarted", "sft attempt 1 started"),
        ("Normal", "PreferenceStarted", "preference attempt 1 started"),
    ]


def test_work_found_finished() -> None:
    events = _told(planned_in_turn(job(), (running(PREPARE),), (succeeded(PREPARE, finished=ARMS),)))

    assert ("Normal", "SftSucceeded", "sft succeeded: found finished: the same work was done before") in events


def test_a_failed_attempt_with_cause_and_remedy() -> None:
    events = _told(planned_in_turn(job(), (PREPARED, running(SFT)), (PREPARED, failed(SFT), running(PREFERENCE))))

    assert events == [
        (
            "Warning",
            "SftFailed",
            "sft attempt 1 failed: HostOOM: It broke. Raise resources.memory, or lower training.microBatchSize or "
            "training.maxLength.",
        )
    ]


def test_a_disruption_that_does_not_count_is_told_though_the_next_attempt_has_begun() -> None:
    disrupted = failed(SFT, cause=Cause.NODE_LOST, checkpoint=4)
    result = planned_in_turn(job(), (PREPARED, running(SFT)), (PREPARED, disrupted, running(PREFERENCE)))

    assert _told(result) == [
        (
            "Warning",
            "SftFailed",
            "sft attempt 1 failed: NodeLost: It broke. Nothing to do: the arm continues from its last checkpoint.",
        ),
        ("Normal", "SftStarted", "sft attempt 2 started"),
    ]


def test_a_failure_is_told_of_the_attempt_that_failed_where_the_next_one_begins_at_once() -> None:
    """The operator was away for longer than the pause between the two."""
    result = planned_in_turn(job(), (PREPARED, running(SFT)), (PREPARED, failed(SFT), running(PREFERENCE)), at=600)

    assert [message.partition(": It")[0] for _, _, message in _told(result)] == [
        "sft attempt 1 failed: HostOOM",
        "sft attempt 2 started",
    ]


@pytest.mark.parametrize("second", [running(SFT, 2), succeeded(SFT, 2)])
def test_a_failure_is_counted_and_told_though_status_never_heard_of_the_next_attempt(
    second: AttemptObservation,
) -> None:
    """The operator ended after it had begun that attempt and before it wrote status."""
    result = planned_in_turn(job(), (PREPARED, running(SFT)), (PREPARED, failed(SFT), second, running(PREFERENCE)))

    assert result.status.stage(SFT).failures == 1
    assert _told(result)[0][2].startswith("sft attempt 1 failed: HostOOM")


def test_the_failure_of_the_job() -> None:
    begun = (PREPARED, running(SFT), running(PREFERENCE))
    events = _told(planned_in_turn(job(), begun, (PREPARED, failed(SFT, cause=Cause.COLLAPSED), begun[2])))

    assert [reason for _, reason, _ in events] == ["SftFailed", "JobFailed"]
    assert (
        events[1][2]
        == "Collapsed: sft: It broke. Lower sft.l1.lambda or targetSparsity: the penalty removed the whole adapter."
    )


def test_a_target_out_of_reach_is_told_once_and_stays_in_status() -> None:
    warning = "sft.l1.targetSparsity 0.9 is out of reach for A"
    progress = Progress(activity=Activity.TRAINING, warnings=(warning,))
    limited = running(SFT, report=report(SFT, progress=progress))
    begun, other = running(SFT), running(PREFERENCE)
    first = planned_in_turn(job(), (PREPARED, begun, other), (PREPARED, limited, other))
    again = planned(job(status=first.status), PREPARED, limited, other, at=2)

    assert _told(first) == [("Warning", "SftLimited", f"sft: {warning}")]
    assert _told(again) == []
    assert again.status.stage(SFT).warnings == (warning,)


def test_success() -> None:
    both = (PREPARED, succeeded(SFT, at=1), succeeded(PREFERENCE, at=1))

    assert _told(planned_in_turn(job(), (*both, running(MERGE)), (*both, succeeded(MERGE)), at=2)) == [
        ("Normal", "MergeSucceeded", "merge succeeded"),
        ("Normal", "JobSucceeded", "Published s3://models/fused/."),
    ]


def test_suspension_and_resumption() -> None:
    begun = planned(job(), PREPARED, running(SFT), running(PREFERENCE))
    suspended = planned(job(status=begun.status, suspend=True), PREPARED, running(SFT), running(PREFERENCE), at=1)
    stopped_both = (PREPARED, stopped(SFT, at=2), stopped(PREFERENCE, at=2))
    at_rest = planned(job(status=suspended.status, suspend=True), *stopped_both, at=3)
    resumed = planned(job(status=at_rest.status), *stopped_both, at=4)

    assert [event.reason for event in suspended.events] == ["SuspendedBySpec"]
    assert [event.reason for event in at_rest.events] == ["SftStopped", "PreferenceStopped"]
    assert [event.reason for event in resumed.events] == ["SftStarted", "PreferenceStarted", "Resumed"]
