"""When the children of a finished job go."""

import pytest
from tests.paft_operator.planner.situations import failed, in_short, job, planned, running, stopped, succeeded

from paft_api.causes import Cause
from paft_api.stages import StageName
from paft_operator.planner.actions import Plan

PREPARE, SFT, PREFERENCE, MERGE = StageName
PREPARED = succeeded(PREPARE)
SUCCEEDED = planned(job(), PREPARED, succeeded(SFT, at=2), succeeded(PREFERENCE, at=3), succeeded(MERGE, at=4))
FAILED = planned(job(), PREPARED, failed(SFT, cause=Cause.DIVERGED), stopped(PREFERENCE))


def _succeeded() -> Plan:
    begun = planned(job(), PREPARED, succeeded(SFT, at=2), succeeded(PREFERENCE, at=3), at=3)
    attempts = (PREPARED, succeeded(SFT, at=2), succeeded(PREFERENCE, at=3), succeeded(MERGE, at=4))
    return planned(job(status=begun.status), *attempts, at=4)


@pytest.mark.parametrize("over", [_succeeded(), FAILED], ids=["succeeded", "failed"])
def test_children_go_after_the_time_set_and_not_before(over: Plan) -> None:
    ended_at = 4.0 if over is not FAILED else 0.0
    a_job = job(status=over.status, ttlSecondsAfterFinished=100)

    early = planned(a_job, at=ended_at + 90, has_children=True)
    assert (early.actions, early.requeue_after) == ((), 10.0)
    due = planned(a_job, at=ended_at + 100, has_children=True)
    assert in_short(due) == ["delete children"]
    assert due.status == over.status


def test_nothing_is_deleted_where_nothing_is_left() -> None:
    result = planned(job(status=FAILED.status, ttlSecondsAfterFinished=0), at=500)

    assert (result.actions, result.requeue_after) == ((), None)


def test_without_a_time_children_stay() -> None:
    assert planned(job(status=FAILED.status), at=1e7, has_children=True).actions == ()


def test_what_still_stops_of_a_failed_job_saves_first() -> None:
    over = planned(job(), PREPARED, failed(SFT, cause=Cause.DIVERGED), running(PREFERENCE))
    a_job = job(status=over.status, ttlSecondsAfterFinished=0)
    stopping = planned(a_job, running(PREFERENCE, stopping=True), at=500, has_children=True)

    assert stopping.actions == ()


def test_a_running_job_keeps_its_children() -> None:
    begun = planned(job(), PREPARED, running(SFT), running(PREFERENCE))
    a_job = job(status=begun.status, ttlSecondsAfterFinished=0)

    assert planned(a_job, PREPARED, running(SFT), running(PREFERENCE), at=500, has_children=True).actions == ()
