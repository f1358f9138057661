"""PaftJobs with the status that the planner gives them, in every situation that a GitOps tool has to tell apart."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.paft_api.complete_job import complete_document
from tests.paft_api.complete_reports import ADAPTER, ARM, DIGEST, IDENTITY, METRICS, REPORT

from paft_api.causes import CAUSE_FACTS, Cause
from paft_api.report import Failure, ReportState, StageReport
from paft_api.spec import PaftJob
from paft_api.stages import StageName
from paft_api.status import PaftJobStatus
from paft_operator.planner.observation import AttemptObservation, AttemptState, Observed
from paft_operator.planner.plan import plan

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
_RESULTS: dict[StageName, dict[str, Any]] = {
    StageName.PREPARE: {
        "prepare": {arm: {key: ARM[key] for key in ARM if key != "finished"} for arm in ("sft", "preference")}
        | {"baseDigest": DIGEST}
    },
    StageName.SFT: {"adapter": METRICS | {"artifact": ADAPTER, "adopted": False}},
    StageName.PREFERENCE: {"adapter": METRICS | {"artifact": ADAPTER, "adopted": False}},
    StageName.MERGE: {"merge": REPORT["merge"]},
}
Document = dict[str, Any]


def planned_jobs() -> dict[str, Document]:
    """Documents by situation, as `kubectl get --output json` shows them."""
    prepared = attempt(StageName.PREPARE, AttemptState.SUCCEEDED)
    arms = [attempt(arm, AttemptState.SUCCEEDED) for arm in (StageName.SFT, StageName.PREFERENCE)]
    both_run = [attempt(arm, AttemptState.RUNNING) for arm in (StageName.SFT, StageName.PREFERENCE)]
    validating = planned(document())
    training = planned(document(), prepared, *both_run)
    waiting = planned(
        training, prepared, attempt(StageName.SFT, AttemptState.FAILED, cause=Cause.HOST_OOM), both_run[1]
    )
    queued = planned(document(), prepared, replace(both_run[0], admitted_at=None), both_run[1])
    merging = planned(training, prepared, *arms, attempt(StageName.MERGE, AttemptState.RUNNING, digest=None))
    recipe = status_of(merging).stage(StageName.MERGE).digest
    succeeded = planned(merging, prepared, *arms, attempt(StageName.MERGE, AttemptState.SUCCEEDED, digest=recipe))
    failed = planned(training, prepared, attempt(StageName.SFT, AttemptState.FAILED, cause=Cause.DIVERGED), both_run[1])
    changed = document(generation=2)
    return {
        "not seen": document(),
        "validating": validating,
        "output in use": planned(document(), output_in_use_by="team-a/older"),
        "queued": queued,
        "training": training,
        "waiting to retry": waiting,
        "merging": merging,
        "succeeded": succeeded,
        "failed": failed,
        "suspended": planned(document(suspend=True) | {"status": training["status"]}, prepared, *both_run),
        "changed and not seen": changed | {"status": succeeded["status"]},
    }


def document(*, generation: int = 1, suspend: bool = False) -> Document:
    """A PaftJob without status."""
    written = complete_document()
    written["metadata"]["generation"] = generation
    written["spec"]["runPolicy"] = {"suspend": suspend}
    return written


def planned(job: Document, *attempts: AttemptObservation, output_in_use_by: str | None = None) -> Document:
    """The document with the status that follows from these attempts."""
    observed = Observed(attempts=attempts, output_in_use_by=output_in_use_by)
    status = plan(PaftJob.model_validate_json(json.dumps(job)), observed, NOW).status
    return job | {"status": status.to_document()}


def attempt(
    stage: StageName, state: AttemptState, *, digest: str | None = DIGEST, cause: Cause | None = None
) -> AttemptObservation:
    """The first attempt of a stage, with a result where it succeeded."""
    failure = Failure(cause=cause, message="It happened.", remedy=CAUSE_FACTS[cause].remedy) if cause else None
    report = {
        "identity": IDENTITY | {"stage": stage, "attempt": 1, "generation": 1},
        "state": ReportState.SUCCEEDED,
        "updatedAt": NOW.isoformat(),
        "progress": {},
        **_RESULTS[stage],
    }
    return AttemptObservation(
        stage=stage,
        attempt=1,
        generation=1,
        stage_digest=None if stage is StageName.PREPARE else digest,
        state=state,
        started_at=NOW - timedelta(minutes=2),
        admitted_at=NOW - timedelta(minutes=2),
        finished_at=None if state is AttemptState.RUNNING else NOW,
        report=StageReport.model_validate_json(json.dumps(report)) if state is AttemptState.SUCCEEDED else None,
        failure=failure,
    )


def status_of(job: Document) -> PaftJobStatus:
    """The status as a model."""
    return PaftJobStatus.model_validate_json(json.dumps(job["status"]))
