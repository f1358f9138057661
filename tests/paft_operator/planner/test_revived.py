"""An attempt whose end was told and that runs nevertheless: it is stopped, and changes nothing."""

import pytest
from tests.paft_operator.planner.situations import (
    failed,
    in_short,
    job,
    planned,
    planned_in_turn,
    running,
    stopped,
    succeeded,
)

from paft_api.causes import Cause
from paft_api.stages import StageName
from paft_api.status import PaftJobStatus, StageState
from paft_operator.planner.observation import AttemptObservation

PREPARE, SFT, PREFERENCE, MERGE = StageName
BEFORE = (succeeded(PREPARE), running(PREFERENCE, at=2))


def _after_a_failure() -> PaftJobStatus:
    return planned_in_turn(
        job(), (*BEFORE, running(SFT, at=2)), (*BEFORE, failed(SFT, cause=Cause.HOST_OOM, at=4)), at=5
    ).status


def _after_a_suspension() -> PaftJobStatus:
    running_then_stopped = (*BEFORE[:1], stopped(SFT, at=2), stopped(PREFERENCE, at=2))
    return planned_in_turn(job(suspend=True), (*BEFORE, running(SFT, at=2)), running_then_stopped, at=5).status


@pytest.mark.parametrize("status", [_after_a_failure(), _after_a_suspension()], ids=["failed", "stopped"])
def test_it_is_stopped_and_its_stage_stays_as_it_was_told(status: PaftJobStatus) -> None:
    assert status.stage(SFT).state in (StageState.WAITING, StageState.STOPPED)
    late = running(SFT, at=20)
    seen = planned(job(status=status), *BEFORE, late, at=400)

    assert [action for action in in_short(seen) if "sft" in action] == ["stop sft 1"]
    assert seen.status.stage(SFT) == status.stage(SFT)


@pytest.mark.parametrize("newer", [[], [running(SFT, 2, at=30)]], ids=["not yet", "runs"])
def test_the_next_attempt_waits_for_its_end(newer: list[AttemptObservation]) -> None:
    status = _after_a_failure()
    going = running(SFT, at=20, stopping=True)

    assert in_short(planned(job(status=status), *BEFORE, going, *newer, at=400)) == []


def test_it_is_stopped_where_the_job_has_failed() -> None:
    status = _after_a_failure()
    broken = failed(PREFERENCE, cause=Cause.CONFIG_INVALID, at=8)
    ended = planned(job(status=status), succeeded(PREPARE), failed(SFT, at=4), broken, at=9).status
    assert ended.stage(SFT).state is StageState.STOPPED

    late = planned(job(status=ended), succeeded(PREPARE), running(SFT, at=20), broken, at=21)

    assert in_short(late) == ["stop sft 1"]
    assert late.status.stage(SFT) == ended.stage(SFT)
