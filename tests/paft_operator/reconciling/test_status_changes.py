"""Which differences between statuses are written at once."""

from typing import Any

import pytest
from tests.paft_operator.observing.records_of import NOW, later

from paft_api.causes import Cause
from paft_api.stages import StageName
from paft_api.status import PaftJobStatus, Phase, StageState, StageStatus
from paft_operator.reconciling.status_changes import Change, change_between


def _status(*, sft: dict[str, Any] | None = None, **fields: Any) -> PaftJobStatus:
    given: dict[str, Any] = {
        "name": StageName.SFT,
        "state": StageState.RUNNING,
        "attempt": 1,
        "step": 4,
        "started_at": NOW,
    }
    entry = StageStatus(**(given | (sft or {})))
    common: dict[str, Any] = {"observed_generation": 1, "phase": Phase.TRAINING}
    return PaftJobStatus(stages=(entry,), **(common | fields))


AFTER = {
    "the same": (_status(), Change.NONE),
    "time went by": (_status(active_seconds=7.0), Change.NONE),
    "a step": (_status(sft={"step": 5}), Change.PROGRESS),
    "activity": (_status(sft={"message": "Saving"}), Change.PROGRESS),
    "estimate": (_status(eta="1h"), Change.PROGRESS),
    "the Job's own start": (_status(sft={"started_at": later(1)}), Change.PROGRESS),
    "it succeeded": (_status(sft={"state": StageState.SUCCEEDED}), Change.TRANSITION),
    "another attempt": (_status(sft={"attempt": 2}), Change.TRANSITION),
    "a failure": (_status(sft={"failures": 1, "cause": Cause.HANG}), Change.TRANSITION),
    "another spec": (_status(observed_generation=2), Change.TRANSITION),
    "a retry": (_status(retry_token="again"), Change.TRANSITION),
}


@pytest.mark.parametrize(("after", "change"), AFTER.values(), ids=AFTER.keys())
def test_changes(after: PaftJobStatus, change: Change) -> None:
    assert change_between(_status(), after) is change


def test_a_first_status_is_written_at_once() -> None:
    assert change_between(None, PaftJobStatus()) is Change.TRANSITION


def test_the_message_of_what_does_not_run_is_no_progress() -> None:
    waiting = {"state": StageState.WAITING}

    assert change_between(_status(sft=waiting), _status(sft=waiting | {"message": "why"})) is Change.TRANSITION
