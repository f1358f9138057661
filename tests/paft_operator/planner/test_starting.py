"""What is written when an attempt starts is not written again when its Job appears."""

import pytest
from tests.paft_operator.planner.situations import after, job, planned, running, succeeded

from paft_api.stages import StageName
from paft_operator.reconciling.status_changes import Change, change_between

PREPARE, SFT, PREFERENCE, MERGE = StageName
TRAINED = (succeeded(PREPARE), succeeded(SFT, at=2), succeeded(PREFERENCE, at=3))


@pytest.mark.parametrize(
    ("before", "stages"),
    [((), [PREPARE]), ((succeeded(PREPARE),), [SFT, PREFERENCE]), (TRAINED, [MERGE])],
)
def test_a_job_that_is_created_a_second_later_changes_no_status(before: tuple, stages: list[StageName]) -> None:
    decided = planned(job(), *before, at=10)
    seen = planned(job(status=decided.status), *before, *(running(stage, at=11) for stage in stages), at=12)

    assert [decided.status.stage(stage).started_at for stage in stages] == [after(10)] * len(stages)
    assert change_between(decided.status, seen.status) is Change.NONE


def test_an_attempt_that_nobody_here_has_decided_on_started_when_its_job_did() -> None:
    seen = planned(job(), succeeded(PREPARE), running(SFT, at=11), running(PREFERENCE, at=12), at=20)

    assert [seen.status.stage(stage).started_at for stage in (SFT, PREFERENCE)] == [after(11), after(12)]
