"""Attempts whose pods run in JobSets, alone or both arms together."""

from dataclasses import replace
from typing import Any

import pytest
from tests.paft_operator.manifests.golden import TOGETHER, job_of, objects_of, set_of_both_arms
from tests.paft_operator.observing.records_of import (
    JOB_UID,
    NOW,
    ended_pod,
    job_in_set,
    job_set_of,
    later,
    report_of,
    run_spec_of,
)

from paft_api.causes import Cause
from paft_api.spec import PaftJob
from paft_api.stages import StageName
from paft_operator.observing.attempts import observe
from paft_operator.observing.children import children_of
from paft_operator.observing.parsing import job_record, job_set_record
from paft_operator.observing.records import AttemptKey, ChildRecord, JobState
from paft_operator.planner.observation import AttemptObservation, AttemptState

SFT, PREFERENCE = AttemptKey(StageName.SFT, 2), AttemptKey(StageName.PREFERENCE, 1)
BOTH = job_set_of(SFT, PREFERENCE)
RUN_SPECS = tuple(run_spec_of(*attempt) for attempt in (SFT, PREFERENCE))


def _observed(*records: ChildRecord) -> dict[AttemptKey, AttemptObservation]:
    document: dict[str, Any] = job_of("defaults").to_document()
    document["metadata"] |= {"name": "tiny", "uid": JOB_UID}
    job = PaftJob.model_validate(document, strict=False)
    seen = observe(job, children_of(JOB_UID, records), later(70)).attempts
    return {AttemptKey(one.stage, one.attempt): one for one in seen}


def test_a_job_set_is_read() -> None:
    (manifest,) = set_of_both_arms()
    record = job_set_record(_as_served(manifest))

    assert record is not None
    assert record.key == ("team-a", job_of(TOGETHER).metadata.name)
    assert record.attempts == (SFT, PREFERENCE)
    assert record.pods == (4, 1)
    # It waits in a queue.
    assert record.admitted_at is None


@pytest.mark.parametrize(
    ("conditions", "state"),
    [
        ([], JobState.ACTIVE),
        ([{"type": "Completed", "status": "True", "lastTransitionTime": "2026-01-02T03:05:05Z"}], JobState.COMPLETE),
        ([{"type": "Failed", "status": "True", "lastTransitionTime": "2026-01-02T03:05:05Z"}], JobState.FAILED),
        ([{"type": "Failed", "status": "False", "lastTransitionTime": "2026-01-02T03:05:05Z"}], JobState.ACTIVE),
    ],
)
def test_how_it_ended(conditions: list[Any], state: JobState) -> None:
    manifest = _as_served(objects_of("job_sets", StageName.SFT)[-1])
    manifest["status"] = {"conditions": conditions}
    record = job_set_record(manifest)

    assert record is not None
    assert record.state is state
    assert record.finished_at == (None if state is JobState.ACTIVE else later(60))
    assert record.admitted_at == NOW


def test_a_job_of_a_job_set_may_be_called_anything() -> None:
    manifest = objects_of("defaults", StageName.SFT)[-1]
    for kind, is_read in (("JobSet", True), ("PaftJob", False)):
        served = _as_served(manifest)
        served["metadata"] |= {"name": "other", "ownerReferences": [{"kind": kind, "uid": "x", "controller": True}]}
        assert (job_record(served) is not None) is is_read


def test_an_attempt_runs_before_its_job_is_there() -> None:
    seen = _observed(BOTH, *RUN_SPECS)

    assert {key: one.state for key, one in seen.items()} == {
        SFT: AttemptState.RUNNING,
        PREFERENCE: AttemptState.RUNNING,
    }
    assert seen[SFT].running_since is None


def test_pods_of_its_jobs_are_found() -> None:
    job = job_in_set(BOTH, SFT, state=JobState.FAILED)
    pod = replace(ended_pod(137, terminated_reason="OOMKilled"), attempt=2, owner_uid=job.uid)
    seen = _observed(BOTH, job, job_in_set(BOTH, PREFERENCE), pod, *RUN_SPECS)

    assert seen[SFT].failure is not None
    assert seen[SFT].failure.cause is Cause.HOST_OOM
    assert (seen[PREFERENCE].state, seen[PREFERENCE].stopping) == (AttemptState.RUNNING, False)


def test_the_other_job_stops_when_the_set_has_failed() -> None:
    failed = replace(BOTH, state=JobState.FAILED, finished_at=later(60))
    seen = _observed(failed, job_in_set(BOTH, SFT, state=JobState.FAILED), job_in_set(BOTH, PREFERENCE), *RUN_SPECS)
    assert seen[SFT].state is AttemptState.FAILED
    assert (seen[PREFERENCE].state, seen[PREFERENCE].stopping) == (AttemptState.RUNNING, True)

    seen = _observed(failed, job_in_set(BOTH, SFT, state=JobState.FAILED), report_of(*PREFERENCE), *RUN_SPECS)
    assert (seen[PREFERENCE].state, seen[PREFERENCE].failure) == (AttemptState.STOPPED, None)
    assert seen[PREFERENCE].finished_at == later(30)


def test_a_job_set_that_somebody_deleted_is_told() -> None:
    assert _observed(replace(BOTH, is_deleting=True), *RUN_SPECS)[SFT].stopping
    # And where it is gone, nothing here says that it had begun.
    assert _observed(*RUN_SPECS) == {}


def test_job_sets_of_others_are_not_ours() -> None:
    foreign = replace(BOTH, owner_uid="another")

    assert children_of(JOB_UID, [foreign, job_in_set(foreign, SFT)]) == {}


def _as_served(manifest: Any) -> Any:
    metadata = manifest["metadata"] | {
        "uid": "uid-set",
        "resourceVersion": "7",
        "creationTimestamp": "2026-01-02T03:04:05Z",
    }
    return {**manifest, "metadata": metadata}
