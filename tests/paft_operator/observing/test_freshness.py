"""Which conclusions are checked before anything is made of them."""

from dataclasses import replace

import pytest
from tests.paft_operator.observing.records_of import (
    JOB_UID,
    NOW,
    ended_pod,
    failure_told,
    job_of,
    report_of,
    run_spec_of,
)
from tests.paft_operator.observing.test_attempts import WITH_RESULT

from paft_api.causes import Cause
from paft_api.report import ReportState
from paft_api.stages import StageName
from paft_api.status import PaftJobStatus, StageState, StageStatus
from paft_operator.observing.children import children_of
from paft_operator.observing.freshness import Conclusion, conclusions
from paft_operator.observing.records import AttemptKey, ChildRecord, JobState

SFT = AttemptKey(StageName.SFT, 1)
COMPLETE = job_of(state=JobState.COMPLETE)
FAILED = job_of(state=JobState.FAILED)
SPEC = run_spec_of()
TOLD = report_of(state=ReportState.FAILED, failure=failure_told(Cause.DIVERGED))
STOPPED = replace(SPEC, stopped="suspended", stopped_at=NOW)

GONE = Conclusion(SFT, "")
ENDED = Conclusion(SFT, job_of().uid)
RUNS = Conclusion(SFT, job_of().uid, runs=True)

SITUATIONS: dict[str, tuple[StageState, list[ChildRecord], list[Conclusion]]] = {
    "it runs": (StageState.RUNNING, [job_of(), SPEC], []),
    "it runs, and its RunSpec is missing": (StageState.RUNNING, [job_of()], [ENDED]),
    "its Job is missing": (StageState.RUNNING, [SPEC], [GONE]),
    "everything is missing": (StageState.RUNNING, [], [GONE]),
    "it was stopped": (StageState.RUNNING, [STOPPED], [GONE]),
    "complete, with its result": (StageState.RUNNING, [COMPLETE, SPEC, WITH_RESULT], []),
    "complete, and the result is not there yet": (StageState.RUNNING, [COMPLETE, SPEC, report_of()], [ENDED]),
    "failed, with report and all pods": (StageState.RUNNING, [FAILED, SPEC, TOLD, ended_pod(87)], []),
    "failed, and a pod is missing": (StageState.RUNNING, [FAILED, SPEC, TOLD], [ENDED]),
    "failed, and the report is not there yet": (StageState.RUNNING, [FAILED, SPEC, ended_pod(87)], [ENDED]),
    "finished": (StageState.SUCCEEDED, [COMPLETE, SPEC], []),
    "finished, and its objects are gone": (StageState.SUCCEEDED, [], []),
    "waiting for the next attempt": (StageState.WAITING, [FAILED, SPEC, TOLD, ended_pod(87)], []),
    "failed, and it seems to run": (StageState.WAITING, [job_of(), SPEC], [RUNS]),
    "stopped, and it seems to run": (StageState.STOPPED, [job_of(), STOPPED], [RUNS]),
    "failed for good, and it seems to run": (StageState.FAILED, [job_of(), SPEC], [RUNS]),
    "stopped, and it is going": (StageState.STOPPED, [job_of(is_deleting=True), STOPPED], []),
}


@pytest.mark.parametrize(("state", "records", "expected"), SITUATIONS.values(), ids=SITUATIONS.keys())
def test_conclusions(state: StageState, records: list[ChildRecord], expected: list[Conclusion]) -> None:
    entry = StageStatus(name=StageName.SFT, state=state, attempt=1, started_at=NOW)
    status = PaftJobStatus(observed_generation=1, stages=(entry,))

    assert list(conclusions(status, children_of(JOB_UID, records), job_uid=JOB_UID, generation=1)) == expected


def test_what_has_finished_and_seems_to_run_is_checked_before_a_new_spec_stops_it() -> None:
    entry = StageStatus(name=StageName.SFT, state=StageState.SUCCEEDED, attempt=1, started_at=NOW)
    status = PaftJobStatus(observed_generation=1, stages=(entry,))
    children = children_of(JOB_UID, [job_of(), SPEC])

    assert list(conclusions(status, children, job_uid=JOB_UID, generation=2)) == [RUNS]


def test_earlier_attempts_are_settled() -> None:
    entry = StageStatus(name=StageName.SFT, state=StageState.RUNNING, attempt=2, started_at=NOW)
    status = PaftJobStatus(observed_generation=1, stages=(entry,))
    children = children_of(JOB_UID, [FAILED, SPEC, job_of(attempt=2), run_spec_of(attempt=2)])

    assert list(conclusions(status, children, job_uid=JOB_UID, generation=1)) == []


def test_an_attempt_that_status_does_not_know_and_that_has_no_job_has_not_begun() -> None:
    children = children_of(JOB_UID, [run_spec_of(attempt=1)])

    assert list(conclusions(PaftJobStatus(), children, job_uid=JOB_UID, generation=1)) == []
