"""Which failures count, and how long to wait after them."""

import pytest
from tests.paft_operator.planner.situations import failed, failure, stopped

from paft_api.causes import CAUSE_FACTS, Cause
from paft_api.stages import StageName
from paft_operator.planner.retries import counted_failures, may_retry, retry_pause_seconds

SFT = StageName.SFT


@pytest.mark.parametrize("cause", list(Cause))
def test_permanent_causes_are_not_tried_again(cause: Cause) -> None:
    assert may_retry(failure(cause), failures=0, backoff_limit=3) is CAUSE_FACTS[cause].retryable


def test_the_limit_counts_failures_not_attempts() -> None:
    assert may_retry(failure(Cause.HOST_OOM), failures=3, backoff_limit=3)
    assert not may_retry(failure(Cause.HOST_OOM), failures=4, backoff_limit=3)


def test_a_disruption_is_excused_by_each_newer_checkpoint() -> None:
    attempts = [
        failed(SFT, 1, cause=Cause.PREEMPTED, checkpoint=2),
        failed(SFT, 2, cause=Cause.NODE_LOST, checkpoint=4),
        failed(SFT, 3, cause=Cause.PREEMPTED, checkpoint=4),
        failed(SFT, 4, cause=Cause.PREEMPTED),
        stopped(SFT, 5),
        failed(SFT, 6, cause=Cause.PREEMPTED, checkpoint=6),
    ]

    assert counted_failures(attempts, generation=1) == 2


def test_other_failures_count_whatever_they_brought() -> None:
    assert counted_failures([failed(SFT, 1, checkpoint=2), failed(SFT, 2, checkpoint=4)], generation=1) == 2


def test_checkpoints_of_earlier_generations_are_no_news() -> None:
    attempts = [
        failed(SFT, 1, cause=Cause.PREEMPTED, checkpoint=4),
        failed(SFT, 2, cause=Cause.PREEMPTED, checkpoint=4, generation=2),
    ]

    assert counted_failures(attempts, generation=2) == 1


def test_pauses_double_up_to_six_minutes() -> None:
    assert [retry_pause_seconds(failures, first=10.0) for failures in (1, 2, 3, 6, 7, 100)] == [
        10.0,
        20.0,
        40.0,
        320.0,
        360.0,
        360.0,
    ]
