"""Whose word counts: an attempt's report speaks for exactly that attempt of exactly that job."""

from dataclasses import replace
from datetime import datetime

from paft_api.spec import PaftJob
from paft_operator.planner.observation import AttemptObservation, Observed


def with_own_reports(job: PaftJob, observed: Observed) -> Observed:
    """The same observation without reports that belong to somebody else."""
    attempts = tuple(
        attempt if _is_own(job, attempt) else replace(attempt, report=None) for attempt in observed.attempts
    )
    return replace(observed, attempts=attempts)


def ended_at(attempt: AttemptObservation) -> datetime:
    """When an ended attempt ended; where nobody wrote that down, the last moment at which it is known to have lived."""
    if attempt.finished_at is not None:
        return attempt.finished_at
    return attempt.report.updated_at if attempt.report is not None else attempt.started_at


def _is_own(job: PaftJob, attempt: AttemptObservation) -> bool:
    if attempt.report is None:
        return True
    identity = attempt.report.identity
    return (identity.job_uid, identity.generation, identity.stage, identity.attempt) == (
        job.metadata.uid,
        attempt.generation,
        attempt.stage,
        attempt.attempt,
    )
