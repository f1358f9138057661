"""Which attempts a cluster proves to be over: none of their pods is left, and none comes again, as their job has ended,
is gone, or has begun a later attempt."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby

from paft_api.labels import ATTEMPT, JOB_UID, STAGE
from paft_api.stages import StageName
from paft_api.storage_survey import EndedAttempts, SurveyedFolder
from paft_cli.cluster.paft_jobs import PaftJobs
from paft_cli.job_document import JobDocument
from paft_operator.cluster.resources import PODS

_OVER = ("Succeeded", "Failed")
"""Phases of pods whose processes have ended. One that a lost node had stays Running until somebody deletes it."""

Attempt = tuple[str, str, StageName, int]
"""Job (namespace/name), its uid, stage and number."""


def ended_in_cluster(jobs: PaftJobs, folders: Iterable[SurveyedFolder]) -> list[EndedAttempts]:
    """Of the attempts that ran in pods and that storage does not prove to be over. Raises CommandError."""
    return [
        ended
        for (job, uid), attempts in groupby(sorted(_unproven(folders)), key=lambda attempt: attempt[:2])
        for ended in _ended(jobs, job, uid, [attempt[2:] for attempt in attempts])
    ]


def _unproven(folders: Iterable[SurveyedFolder]) -> Iterator[Attempt]:
    for folder in folders:
        for attempt in folder.attempts:
            if attempt.job is not None and attempt.in_cluster and attempt.over is None:
                uid, _, number = attempt.name.rpartition("-")
                yield attempt.job, uid, folder.stage, int(number)


def _ended(jobs: PaftJobs, job: str, uid: str, attempts: Iterable[tuple[StageName, int]]) -> Iterator[EndedAttempts]:
    namespace, _, name = job.partition("/")
    # The job first: what ends after this look counts for the next.
    found = jobs.find(name, namespace)
    query = {"labelSelector": f"{JOB_UID}={uid}"}
    pods = jobs.server.get(PODS.path(namespace), query)["items"] or []
    living = {_attempt_of(pod["metadata"]["labels"]) for pod in pods if pod["status"].get("phase") not in _OVER}
    for stage, number in attempts:
        why = _why_over(found if found is not None and found.uid == uid else None, job, stage, number)
        if why is not None and (stage, number) not in living:
            yield EndedAttempts(job_uid=uid, stage=stage, attempt=number, why=f"{why}, and it has no pod")


def _why_over(found: JobDocument | None, job: str, stage: StageName, number: int) -> str | None:
    if found is None:
        return f"PaftJob {job} of this uid is gone from the cluster"
    if found.end is not None:
        return f"PaftJob {job} has {found.end.value.lower()}"
    newest = found.status.stage(stage).attempt
    return f"PaftJob {job} is at attempt {newest} of {stage}" if newest > number else None


def _attempt_of(labels: Mapping[str, str]) -> tuple[StageName, int]:
    return StageName(labels[STAGE]), int(labels[ATTEMPT])
