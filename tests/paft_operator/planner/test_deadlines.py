"""What counts as running time."""

from tests.paft_operator.planner.situations import (
    conditions,
    failed,
    in_short,
    job,
    planned,
    running,
    stopped,
    succeeded,
)

from paft_api.causes import Cause
from paft_api.report import Failure
from paft_api.stages import StageName
from paft_api.status import ConditionType

PREPARE, SFT, PREFERENCE, MERGE = StageName
PREPARED = succeeded(PREPARE, at=0)


def test_time_in_which_two_arms_run_counts_once() -> None:
    result = planned(job(), PREPARED, stopped(SFT, at=10, stopping=False), stopped(PREFERENCE, at=10.5), at=20)

    assert result.status.active_seconds == 2.5


def test_pauses_do_not_count() -> None:
    attempts = (failed(SFT, 1, at=10), failed(SFT, 2, at=100), failed(PREFERENCE, at=10))

    assert planned(job(), PREPARED, *attempts, at=200).status.active_seconds == 3.0


def test_what_was_counted_stays_when_attempts_are_forgotten() -> None:
    first = planned(job(suspend=True), PREPARED, failed(SFT, 1, at=10), stopped(PREFERENCE, at=10), at=20)
    later = planned(job(status=first.status, suspend=True), at=100)

    assert (first.status.active_seconds, later.status.active_seconds) == (2.0, 2.0)


def test_an_attempt_kept_from_an_earlier_generation_counts_from_the_start_of_this_one() -> None:
    """A week of training under another deadline does not end a job whose deadline was just set to a day."""
    first = planned(job(), PREPARED, running(SFT, at=1), running(PREFERENCE, at=1), at=2)
    job_2 = job(generation=2, status=first.status, activeDeadlineSeconds=100)
    prepared_again = succeeded(PREPARE, 2, generation=2, at=1001)
    result = planned(job_2, prepared_again, running(SFT, at=1), running(PREFERENCE, at=1), at=1050)

    assert result.status.condition(ConditionType.FAILED) is None
    assert result.requeue_after == 50.0


def test_the_deadline_is_told_as_a_cause_with_its_remedy() -> None:
    result = planned(job(activeDeadlineSeconds=5), PREPARED, running(SFT), running(PREFERENCE), at=5)
    condition = result.status.condition(ConditionType.FAILED)

    assert condition is not None
    assert (condition.reason, condition.message) == (
        "DeadlineExceeded",
        "Attempts ran for more than 5 s. Raise runPolicy.activeDeadlineSeconds.",
    )


def test_the_clock_stands_while_nothing_runs() -> None:
    first = planned(job(suspend=True, activeDeadlineSeconds=5), PREPARED, stopped(SFT, at=2), stopped(PREFERENCE, at=2))
    resumed = job(generation=2, status=first.status, activeDeadlineSeconds=5)
    result = planned(resumed, PREPARED, stopped(SFT, at=2), stopped(PREFERENCE, at=2), at=1000)

    assert result.status.condition(ConditionType.FAILED) is None


def _unschedulable() -> Failure:
    return Failure(cause=Cause.UNSCHEDULABLE, message="0/3 nodes have a free GPU.", remedy="Add nodes.")


def test_running_time_begins_when_all_pods_run() -> None:
    waiting = running(SFT, at=0, running_since=None)
    result = planned(job(activeDeadlineSeconds=5), PREPARED, waiting, running(PREFERENCE, at=98), at=100)

    assert result.status.condition(ConditionType.FAILED) is None
    assert result.requeue_after == 2.0


def test_pods_that_do_not_run_in_time_fail_the_job_with_what_they_say() -> None:
    pending = running(SFT, running_since=None, pending=_unschedulable())
    policy = job(pendingDeadlineSeconds=60)
    early = planned(policy, PREPARED, pending, running(PREFERENCE), at=59)
    late = planned(policy, PREPARED, pending, running(PREFERENCE), at=60)

    assert early.requeue_after == 1.0
    assert early.status.stage(SFT).message == "0/3 nodes have a free GPU. Add nodes."
    condition = late.status.condition(ConditionType.FAILED)
    assert condition is not None
    assert (condition.reason, condition.message) == (
        "Unschedulable",
        "sft attempt 1: not all of its pods ran within 60 s. 0/3 nodes have a free GPU. Add nodes.",
    )
    assert in_short(late) == ["stop sft 1", "stop preference 1"]


def test_time_in_a_queue_is_not_pending() -> None:
    queued = running(SFT, running_since=None, admitted_at=None)
    result = planned(job(pendingDeadlineSeconds=60), PREPARED, queued, running(PREFERENCE), at=1000)

    assert result.status.condition(ConditionType.FAILED) is None
    assert conditions(result)["Queued"] == "True WaitingForAdmission"

    admitted = running(SFT, at=1000, running_since=None)
    later = planned(job(status=result.status), PREPARED, admitted, running(PREFERENCE), at=1001)
    assert conditions(later)["Queued"] == "False Admitted"


def test_a_pod_that_runs_in_time_and_is_lost_later_is_not_pending() -> None:
    result = planned(job(pendingDeadlineSeconds=60), PREPARED, running(SFT), running(PREFERENCE), at=1000)

    assert result.status.condition(ConditionType.FAILED) is None
