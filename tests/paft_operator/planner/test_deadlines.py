"""What counts as running time."""

from tests.paft_operator.planner.situations import failed, job, planned, running, stopped, succeeded

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
