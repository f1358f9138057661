"""Arms that are admitted at once start together, as long as both have work; arms on the same devices take turns."""

import pytest
from tests.paft_operator.planner.situations import after, failed, in_short, job, planned, running, stopped, succeeded

from paft_api.causes import Cause
from paft_api.conditions import WAITS_FOR_DEVICES, WAITS_FOR_OTHER_ARM
from paft_api.run_spec import World
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


ONE_GPU = {
    arm: World(nodes=1, processes_per_node=1, device="cuda", gradient_accumulation_steps=64, visible_devices=(0,))
    for arm in (SFT, PREFERENCE)
}


def _in_turn(*attempts: AttemptObservation, at: float = 0.0) -> Plan:
    """Planned twice, as the status of the first is known the second time."""
    first = planned(job(), PREPARED, *attempts, at=at, worlds=ONE_GPU)
    return planned(job(status=first.status), PREPARED, *attempts, at=at, worlds=ONE_GPU)


def test_arms_that_need_the_same_device_start_one_after_the_other() -> None:
    first = planned(job(), PREPARED, worlds=ONE_GPU)
    assert in_short(first) == ["start sft 1"]
    waiting = first.status.stage(PREFERENCE)
    assert (waiting.state, waiting.message) == (StageState.PENDING, WAITS_FOR_DEVICES)

    assert in_short(_in_turn(running(SFT), at=5)) == []

    second = planned(job(), PREPARED, succeeded(SFT, at=30), at=31, worlds=ONE_GPU)
    assert in_short(second) == ["start preference 1"]
    assert second.status.stage(PREFERENCE).message == ""


def test_an_arm_uses_the_pause_of_the_other_and_is_waited_for() -> None:
    assert in_short(planned(job(), PREPARED, failed(SFT, at=30), at=31, worlds=ONE_GPU)) == ["start preference 1"]

    paused = _in_turn(failed(SFT, at=30), running(PREFERENCE), at=60)
    assert in_short(paused) == []

    after_it = planned(job(), PREPARED, failed(SFT, at=30), succeeded(PREFERENCE, at=90), at=91, worlds=ONE_GPU)
    assert in_short(after_it) == ["start sft 2"]


def test_arms_with_devices_of_their_own_start_at_the_same_time() -> None:
    worlds = ONE_GPU | {PREFERENCE: ONE_GPU[PREFERENCE].model_copy(update={"visible_devices": (1,)})}

    assert in_short(planned(job(), PREPARED, worlds=worlds)) == ["start sft 1", "start preference 1"]
