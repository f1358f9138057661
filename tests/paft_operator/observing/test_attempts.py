"""From children to attempts: what is there, what is gone, and what only claims to belong."""

import json
from dataclasses import replace
from typing import Any

import pytest
from tests.paft_operator.cluster_jobs import minimal_job
from tests.paft_operator.observing.records_of import (
    JOB_UID,
    NOW,
    ended_pod,
    job_of,
    later,
    pod_of,
    report_of,
    run_spec_of,
    stage_report,
)

from paft_api.causes import Cause
from paft_api.digests import digest_of
from paft_api.report import AdapterResult, FinishedArtifact, ReportState
from paft_api.spec import PaftJob
from paft_api.stages import StageName
from paft_api.status import PaftJobStatus, StageState, StageStatus
from paft_operator.observing.attempts import ignored_reports, observe
from paft_operator.observing.children import children_of
from paft_operator.observing.failures import failure_of_deleted_job
from paft_operator.observing.lost_pods import seconds_until_lost
from paft_operator.observing.records import AttemptKey, ChildRecord, JobState
from paft_operator.observing.reports import NOT_A_REPORT, OF_ANOTHER
from paft_operator.planner.observation import AttemptObservation, AttemptState

DIGEST = digest_of(["sft"])
RESULT = AdapterResult(artifact=FinishedArtifact(uri="s3://paft/sft/x/", digest=DIGEST), steps=8)


def _job(**sft: Any) -> PaftJob:
    """A PaftJob whose sft stage has this status."""
    document = minimal_job()
    document["metadata"] |= {"namespace": "team-a", "uid": JOB_UID, "generation": 1}
    entry = StageStatus.model_validate({"name": StageName.SFT, "digest": DIGEST} | sft)
    status = PaftJobStatus(observed_generation=1, stages=(entry,))
    return PaftJob.model_validate_json(json.dumps(document)).model_copy(update={"status": status})


def _attempts(job: PaftJob, *records: ChildRecord) -> tuple[AttemptObservation, ...]:
    return observe(job, children_of(JOB_UID, records), NOW).attempts


def _seen(**fields: Any) -> AttemptObservation:
    given: dict[str, Any] = {
        "stage": StageName.SFT,
        "attempt": 1,
        "generation": 1,
        "stage_digest": DIGEST,
        "state": AttemptState.RUNNING,
        "started_at": NOW,
        "admitted_at": NOW,
    }
    return AttemptObservation(**(given | fields))


SPEC = run_spec_of(stage_digest=DIGEST)
RUNNING = _job(state=StageState.RUNNING, attempt=1, started_at=NOW)
WITH_RESULT = report_of(state=ReportState.SUCCEEDED, adapter=RESULT)


def test_a_running_attempt() -> None:
    pod = pod_of(phase="Running", started_at=later(9), node="node-1")

    assert _attempts(RUNNING, job_of(), SPEC, report_of(), pod) == (
        _seen(report=stage_report(), running_since=later(9)),
    )


def test_an_attempt_runs_once_all_its_pods_do() -> None:
    job = job_of(pods=2)
    first, second = (pod_of(index=index, phase="Running", started_at=later(index)) for index in range(2))
    waiting = pod_of(index=1, unschedulable_message="no GPU")

    partly = _attempts(RUNNING, job, SPEC, first, waiting)[0]
    assert partly.running_since is None
    assert partly.pending is not None
    assert partly.pending.cause is Cause.UNSCHEDULABLE
    assert _attempts(RUNNING, job, SPEC, first, second) == (_seen(running_since=later(1)),)


def test_an_attempt_that_waits_in_a_queue() -> None:
    assert _attempts(RUNNING, job_of(admitted_at=None), SPEC) == (_seen(admitted_at=None),)


def test_a_complete_job_with_its_result() -> None:
    observed = _attempts(RUNNING, job_of(state=JobState.COMPLETE), SPEC, WITH_RESULT)

    report = stage_report(state=ReportState.SUCCEEDED, adapter=RESULT)
    assert observed == (_seen(state=AttemptState.SUCCEEDED, finished_at=later(60), report=report),)


def test_a_failed_job() -> None:
    observed = _attempts(RUNNING, job_of(state=JobState.FAILED), SPEC, ended_pod(65))[0]

    assert (observed.state, observed.finished_at, observed.running_since) == (AttemptState.FAILED, later(60), NOW)
    assert observed.failure is not None
    assert observed.failure.cause is Cause.HOST_OOM


@pytest.mark.parametrize("state", [JobState.ACTIVE, JobState.FAILED])
def test_a_job_that_is_being_deleted_still_runs(state: JobState) -> None:
    observed = _attempts(RUNNING, job_of(state=state, is_deleting=True), SPEC, ended_pod(143))

    assert [(one.state, one.stopping, one.failure) for one in observed] == [(AttemptState.RUNNING, True, None)]


def test_a_stopped_attempt_ended_when_it_last_reported() -> None:
    stopped = replace(SPEC, stopped="runPolicy.suspend", stopped_at=later(20))

    report = stage_report()
    assert _attempts(RUNNING, stopped, report_of()) == (
        _seen(state=AttemptState.STOPPED, admitted_at=None, finished_at=later(30), report=report),
    )
    assert _attempts(RUNNING, stopped) == (_seen(state=AttemptState.STOPPED, admitted_at=None, finished_at=later(20)),)


def test_a_stop_that_came_too_late_is_a_success() -> None:
    stopped = replace(SPEC, stopped="runPolicy.suspend", stopped_at=later(20))

    assert [one.state for one in _attempts(RUNNING, stopped, WITH_RESULT)] == [AttemptState.SUCCEEDED]


def test_a_job_that_somebody_deleted() -> None:
    assert _attempts(RUNNING, SPEC) == (
        _seen(state=AttemptState.FAILED, admitted_at=None, finished_at=NOW, failure=failure_of_deleted_job()),
    )


def test_an_attempt_whose_job_was_never_created_has_not_begun() -> None:
    assert _attempts(_job(state=StageState.PENDING), SPEC, report_of(text="")) == ()


def test_an_attempt_of_which_nothing_is_left() -> None:
    assert _attempts(RUNNING) == (
        _seen(state=AttemptState.FAILED, admitted_at=None, finished_at=NOW, failure=failure_of_deleted_job()),
    )


def test_a_run_spec_that_somebody_deleted_is_made_up_for_by_status() -> None:
    assert _attempts(RUNNING, job_of()) == (_seen(),)


LOST = pod_of(phase="Running", node="node-1", started_at=NOW, gone_by=later(30))


def test_a_pod_on_a_lost_node_is_given_up_after_a_while() -> None:
    children = children_of(JOB_UID, [job_of(), SPEC, LOST])

    assert seconds_until_lost(children, later(80)) == 10.0
    assert observe(RUNNING, children, later(89)).attempts == (_seen(running_since=NOW),)
    given_up = observe(RUNNING, children, later(90)).attempts[0]
    assert (given_up.state, given_up.finished_at) == (AttemptState.FAILED, later(30))
    assert given_up.failure is not None
    assert given_up.failure.cause is Cause.NODE_LOST
    assert seconds_until_lost(children, later(90)) is None


def test_a_stop_does_not_wait_for_a_lost_node_either() -> None:
    children = children_of(JOB_UID, [job_of(is_deleting=True), replace(SPEC, stopped="suspended"), LOST])
    observed = observe(RUNNING, children, later(90)).attempts[0]

    assert (observed.state, observed.stopping, observed.failure) == (AttemptState.STOPPED, False, None)


def test_a_pod_that_ended_in_time_is_not_lost() -> None:
    children = children_of(JOB_UID, [job_of(), SPEC, replace(LOST, phase="Failed")])

    assert observe(RUNNING, children, later(90)).attempts[0].state is AttemptState.RUNNING
    assert seconds_until_lost(children, NOW) is None


def test_what_is_finished_is_not_read_again() -> None:
    done = _job(state=StageState.SUCCEEDED, attempt=1)

    assert _attempts(done, job_of(state=JobState.COMPLETE), SPEC, WITH_RESULT)[0].report is None


FOREIGN = {
    "a Job of another PaftJob": job_of(),
    "a RunSpec of another PaftJob": SPEC,
    "a report of another PaftJob": report_of(),
}


@pytest.mark.parametrize("record", FOREIGN.values(), ids=FOREIGN.keys())
def test_objects_of_an_earlier_job_of_this_name_are_not_ours(record: ChildRecord) -> None:
    assert children_of(JOB_UID, [replace(record, owner_uid="an-earlier-uid")]) == {}


def test_a_pod_that_only_has_our_labels_is_not_ours() -> None:
    impostor = ended_pod(65)
    children = children_of(JOB_UID, [job_of(), SPEC, replace(impostor, owner_uid="somebody")])

    assert children[AttemptKey(StageName.SFT, 1)].pods == []


REPORTS = {
    "nothing yet": ("", None),
    "no JSON": ("{", NOT_A_REPORT),
    "other JSON": ('{"state": "Succeeded"}', NOT_A_REPORT),
    "an earlier attempt's": (stage_report(attempt=1).to_json(), OF_ANOTHER),
    "its own": (stage_report(attempt=2).to_json(), None),
}


@pytest.mark.parametrize(("text", "why"), REPORTS.values(), ids=REPORTS.keys())
def test_only_its_own_report_counts(text: str, why: str | None) -> None:
    children = children_of(JOB_UID, [job_of(attempt=2), report_of(attempt=2, text=text)])
    key = AttemptKey(StageName.SFT, 2)

    assert ignored_reports(JOB_UID, children) == ({key: why} if why else {})
    report = observe(_job(state=StageState.RUNNING, attempt=2, started_at=NOW), children, NOW).attempts[0].report
    assert (report is not None) == (text != "" and why is None)


def test_what_else_the_planner_is_told() -> None:
    observed = observe(
        _job(state=StageState.SUCCEEDED),
        children_of(JOB_UID, [report_of()]),
        NOW,
        retry_token="again",
        output_in_use_by="team-b/other",
    )

    assert (observed.has_children, observed.retry_token, observed.output_in_use_by) == (True, "again", "team-b/other")
    assert not observe(_job(), {}, NOW).has_children
