"""Where both arms have to be admitted at once, neither starts without the other, as long as both have work."""

import pytest
from tests.paft_operator.planner.situations import after, failed, in_short, job, planned, running, stopped, succeeded

from paft_api.causes import Cause
from paft_api.conditions import WAITS_FOR_OTHER_ARM
from paft_api.stages import StageName
from paft_api.status import StageState
from paft_operator.planner.actions import Plan
from paft_operator.planner.observation import AttemptObservation

PREPARE, SFT, PREFERENCE, MERGE = StageName
PREPARED = succeeded(PREPARE)


def _together(*attempts: AttemptObservation, at: float) -> Plan:
    """Planned twice, as the status of the first is known the second time."""
    first = planned(job(), PREPARED, *attempts, at=at, arms_start_together=True)
    return planned(job(status=first.status), PREPARED, *attempts, at=at, arms_start_together=True)


def test_both_start() -> None:
    plan = planned(job(), PREPARED, arms_start_together=True)

    assert in_short(plan) == ["start sft 1", "start preference 1"]


def test_a_healthy_arm_that_was_stopped_waits_for_the_pause_of_the_other() -> None:
    ended = (failed(SFT, at=30), stopped(PREFERENCE, at=35))
    plan = _together(*ended, at=36)

    assert in_short(plan) == []
    sft, preference = plan.status.stage(SFT), plan.status.stage(PREFERENCE)
    assert (sft.state, sft.failures, sft.retry_at) == (StageState.WAITING, 1, after(40))
    assert (preference.state, preference.failures) == (StageState.STOPPED, 0)
    assert preference.message == WAITS_FOR_OTHER_ARM
    assert plan.requeue_after == 4

    assert in_short(_together(*ended, at=40)) == ["start sft 2", "start preference 2"]


def test_an_arm_waits_until_the_other_has_stopped() -> None:
    plan = _together(failed(SFT, cause=Cause.PREEMPTED, at=30), running(PREFERENCE, stopping=True), at=60)

    assert in_short(plan) == []
    assert plan.status.stage(PREFERENCE).state is StageState.RUNNING


def test_an_arm_alone_starts_when_the_other_has_finished() -> None:
    plan = _together(failed(SFT, at=30), succeeded(PREFERENCE, at=31), at=60)

    assert in_short(plan) == ["start sft 2"]


@pytest.mark.parametrize("together", [True, False])
def test_a_failure_for_good_starts_nothing(together: bool) -> None:
    ended = (failed(SFT, cause=Cause.DATA_INVALID, at=30), stopped(PREFERENCE, at=35))
    plan = planned(job(), PREPARED, *ended, at=60, arms_start_together=together)

    assert in_short(plan) == []
    assert plan.status.stage(SFT).state is StageState.FAILED


def test_arms_that_need_not_wait_do_not() -> None:
    plan = planned(job(), PREPARED, failed(SFT, at=30), stopped(PREFERENCE, at=35), at=36)

    assert in_short(plan) == ["start preference 2"]
