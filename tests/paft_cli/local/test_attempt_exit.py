"""What it means how a launcher ended."""

from datetime import UTC, datetime

import pytest

from paft_api.causes import Cause
from paft_api.run_spec import TerminationMessage
from paft_cli.local.attempt_exit import classify_exit
from paft_cli.local.attempt_records import ExitRecord
from paft_operator.planner.observation import AttemptState

TOLD_OOM = TerminationMessage(cause="HostOOM", message="rank 1 was killed", remedy="Use less.", rank=1, exit_code=65)
FROM_LATER_VERSION = TerminationMessage(cause="Gremlins", message="they came", exit_code=66)


def ended(*, code: int | None = None, signal: int | None = None, watched: bool = True) -> ExitRecord:
    return ExitRecord(code=code, signal=signal, watched=watched, finished_at=datetime(2026, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    ("exit_record", "termination", "stop_requested", "state", "cause"),
    [
        (ended(code=0), None, False, AttemptState.SUCCEEDED, None),
        (ended(watched=False), TerminationMessage(exit_code=0), False, AttemptState.SUCCEEDED, None),
        (ended(code=143), TerminationMessage(exit_code=143), False, AttemptState.STOPPED, None),
        (ended(signal=15), None, False, AttemptState.STOPPED, None),
        (ended(signal=9), None, True, AttemptState.STOPPED, None),
        (ended(watched=False), None, False, AttemptState.STOPPED, None),
        (ended(signal=9), None, False, AttemptState.FAILED, Cause.UNKNOWN),
        (ended(code=1), None, False, AttemptState.FAILED, Cause.UNKNOWN),
        (ended(code=71), None, False, AttemptState.FAILED, Cause.DISK_FULL),
        (ended(code=65), TOLD_OOM, False, AttemptState.FAILED, Cause.HOST_OOM),
        (ended(watched=False), TOLD_OOM, True, AttemptState.FAILED, Cause.HOST_OOM),
        (ended(code=66), FROM_LATER_VERSION, False, AttemptState.FAILED, Cause.COLLECTIVE_TIMEOUT),
    ],
)
def test_states_and_causes(
    exit_record: ExitRecord,
    termination: TerminationMessage | None,
    stop_requested: bool,
    state: AttemptState,
    cause: Cause | None,
) -> None:
    found, failure = classify_exit(
        exit_record, termination=termination, report=None, stop_requested=stop_requested, last_log_line=""
    )
    assert found is state
    assert (failure.cause if failure is not None else None) is cause


def test_the_launchers_own_words_are_kept() -> None:
    _, failure = classify_exit(
        ended(code=65), termination=TOLD_OOM, report=None, stop_requested=False, last_log_line=""
    )
    assert failure is not None
    assert (failure.message, failure.remedy, failure.rank) == ("rank 1 was killed", "Use less.", 1)
