"""Records as the watches would have them, with what a test does not care about filled in."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from paft_api.causes import Cause
from paft_api.report import Failure, Progress, ReportState, StageReport
from paft_api.run_spec import StageIdentity, TerminationMessage
from paft_api.stages import StageName
from paft_operator.manifests.names import job_name_in_set
from paft_operator.observing.records import (
    AttemptKey,
    JobRecord,
    JobSetRecord,
    JobState,
    PodRecord,
    ReportRecord,
    RunSpecRecord,
)

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
JOB_UID = "paft-job-uid"


def later(seconds: float) -> datetime:
    """NOW and so many seconds."""
    return NOW + timedelta(seconds=seconds)


def common(stage: StageName, attempt: int, name: str, uid: str, owner_uid: str) -> dict[str, Any]:
    """What all children have."""
    return {
        "namespace": "team-a",
        "name": name,
        "uid": uid,
        "version": 10,
        "owner_uid": owner_uid,
        "job_name": "tiny",
        "stage": stage,
        "attempt": attempt,
        "created_at": NOW,
    }


def job_of(
    stage: StageName = StageName.SFT, attempt: int = 1, *, state: JobState = JobState.ACTIVE, **fields: Any
) -> JobRecord:
    """A Job of one pod."""
    given: dict[str, Any] = {
        "state": state,
        "reason": "PodFailurePolicy" if state is JobState.FAILED else "",
        "message": "",
        "finished_at": None if state is JobState.ACTIVE else later(60),
        "admitted_at": NOW,
        "is_deleting": False,
        "pods": 1,
    }
    name = f"tiny-{stage}-{attempt}"
    return JobRecord(**common(stage, attempt, name, f"uid-{name}", JOB_UID), **(given | fields))


def job_set_of(*attempts: AttemptKey) -> JobSetRecord:
    """A JobSet of one pod per arm."""
    name = "-".join(["tiny-set", *(str(attempt.attempt) for attempt in attempts)])
    return JobSetRecord(
        **common(*attempts[0], name, f"uid-{name}", JOB_UID),
        attempts=attempts,
        pods=(1,) * len(attempts),
        state=JobState.ACTIVE,
        finished_at=None,
        admitted_at=NOW,
        is_deleting=False,
    )


def job_in_set(job_set: JobSetRecord, attempt: AttemptKey, **fields: Any) -> JobRecord:
    """The Job of an arm that a JobSet has created."""
    name = job_name_in_set(job_set.name, attempt.stage)
    return replace(job_of(*attempt, **fields), name=name, uid=f"uid-{name}", owner_uid=job_set.uid)


def pod_of(stage: StageName = StageName.SFT, attempt: int = 1, *, index: int = 0, **fields: Any) -> PodRecord:
    """A pod that waits for its container."""
    given: dict[str, Any] = {
        "phase": "Pending",
        "reason": "",
        "message": "",
        "node": "",
        "gone_by": None,
        "waiting_reason": "",
        "waiting_message": "",
        "started_at": None,
        "terminated_at": None,
        "terminated_reason": "",
        "exit_code": None,
        "termination_message": "",
        "disruption_reason": "",
        "disruption_message": "",
        "unschedulable_message": "",
        "is_gated": False,
    }
    job = f"tiny-{stage}-{attempt}"
    name = f"{job}-{index}"
    return PodRecord(**common(stage, attempt, name, f"uid-{name}", f"uid-{job}"), **(given | fields))


def ended_pod(exit_code: int, *, index: int = 0, at: float = 50, told: str = "", **fields: Any) -> PodRecord:
    """A pod whose container has ended on node-1."""
    given: dict[str, Any] = {
        "phase": "Failed" if exit_code else "Succeeded",
        "node": "node-1",
        "started_at": NOW,
        "terminated_at": later(at),
        "terminated_reason": "Error" if exit_code else "Completed",
        "exit_code": exit_code,
        "termination_message": told,
    }
    return pod_of(index=index, **(given | fields))


def told_by_launcher(cause: Cause | str, message: str = "it said so", remedy: str = "Do so.", *, code: int = 64) -> str:
    """A termination message of the launcher."""
    return TerminationMessage(cause=cause, message=message, remedy=remedy, rank=3, exit_code=code).to_json()


def run_spec_of(stage: StageName = StageName.SFT, attempt: int = 1, **fields: Any) -> RunSpecRecord:
    """The ConfigMap with a RunSpec."""
    given: dict[str, Any] = {"generation": 1, "stage_digest": None, "stopped": None, "stopped_at": None}
    name = f"tiny-{stage}-{attempt}"
    return RunSpecRecord(**common(stage, attempt, name, f"uid-{name}-spec", JOB_UID), **(given | fields))


def report_of(
    stage: StageName = StageName.SFT, attempt: int = 1, text: str | None = None, **fields: Any
) -> ReportRecord:
    """The ConfigMap with a report. `fields`: of the StageReport."""
    name = f"tiny-{stage}-{attempt}-report"
    written = text if text is not None else stage_report(stage, attempt, **fields).to_json()
    return ReportRecord(**common(stage, attempt, name, f"uid-{name}", JOB_UID), text=written)


def stage_report(stage: StageName = StageName.SFT, attempt: int = 1, **fields: Any) -> StageReport:
    """A report of a running attempt."""
    given: dict[str, Any] = {
        "identity": StageIdentity(
            job_name="tiny",
            job_namespace="team-a",
            job_uid=JOB_UID,
            generation=1,
            stage=stage,
            attempt=attempt,
        ),
        "state": ReportState.RUNNING,
        "updated_at": later(30),
        "progress": Progress(step=4, total_steps=8, checkpoint_step=4),
    }
    return StageReport(**(given | fields))


def failure_told(cause: Cause, message: str = "the report said so") -> Failure:
    """A failure as a report has it."""
    return Failure(cause=cause, message=message, remedy="Mend it.", rank=1)
