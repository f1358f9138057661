"""Which pod's log is meant, among those that are still there, or why there is none: pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from paft_api.labels import ATTEMPT, JOB_UID
from paft_api.stage_pods import CONTAINER
from paft_api.stages import StageName
from paft_api.status import StageState
from paft_cli.errors import CommandError
from paft_cli.job_document import JobDocument

_INDEX = "batch.kubernetes.io/job-completion-index"
Pod = dict[str, Any]


@dataclass(frozen=True, slots=True)
class LogPod:
    """A pod that has a log, or had one until its node lost it."""

    name: str
    node: str
    attempt: int


@dataclass(frozen=True, slots=True)
class NotYet:
    """There will be a log, if all goes well."""

    why: str


def choose_pod(
    job: JobDocument, stage: StageName, pods: Sequence[Pod], *, attempt: int | None, index: int
) -> LogPod | NotYet:
    """Of a stage's pods. `attempt`: None for the newest. Raises CommandError where there is no log and will be none."""
    own = [pod for pod in pods if pod["metadata"]["labels"].get(JOB_UID) == job.uid]
    newest = max([job.status.stage(stage).attempt, *map(_attempt, own)])
    chosen = attempt if attempt is not None else newest
    if chosen > newest or newest == 0:
        return _not_started(job, stage, chosen if attempt is not None else None, newest)
    found = [pod for pod in own if _attempt(pod) == chosen]
    if not found:
        return _without_pods(job, stage, chosen, own)
    indices = sorted({_index(pod) for pod in found})
    if index not in indices:
        there_are = ", ".join(map(str, indices))
        raise CommandError(
            f"{stage} attempt {chosen} of {job.name} has no pod with index {index}; there are: {there_are}"
        )
    # A pod that was replaced may still be there.
    pod = max((pod for pod in found if _index(pod) == index), key=lambda pod: str(pod["metadata"]["creationTimestamp"]))
    waiting = _waiting(pod)
    if waiting is not None:
        return NotYet(f"pod {pod['metadata']['name']} has not started: {waiting}")
    return LogPod(pod["metadata"]["name"], pod["spec"].get("nodeName", ""), chosen)


def _not_started(job: JobDocument, stage: StageName, attempt: int | None, newest: int) -> NotYet:
    entry = job.status.stage(stage)
    if attempt is not None and newest > 0:
        raise CommandError(f"{stage} of {job.name} has no attempt {attempt}; its newest is {newest}")
    if entry.state is StageState.SUCCEEDED:
        raise CommandError(
            f"{stage} of {job.name} never ran, so it has no log: {entry.message or 'it was found finished'}"
        )
    if job.end is not None:
        raise CommandError(
            f"{stage} of {job.name} never started, so it has no log: the job has {job.end.value.lower()}"
        )
    return NotYet(f"{stage} of {job.name} has not started yet; the job is {job.status.phase}")


def _without_pods(job: JobDocument, stage: StageName, attempt: int, others: Sequence[Pod]) -> NotYet:
    entry = job.status.stage(stage)
    if attempt == entry.attempt and entry.state is StageState.RUNNING:
        return NotYet(f"{stage} attempt {attempt} of {job.name} has no pod yet")
    kept = sorted({_attempt(pod) for pod in others})
    left = f" Attempts that still have pods: {', '.join(map(str, kept))}." if kept else ""
    raise CommandError(
        f"the pods of {stage} attempt {attempt} of {job.name} are gone, and their logs with them: pods go when an "
        f"attempt is stopped, after runPolicy.ttlSecondsAfterFinished, and with their node.{left}\n"
        "What was told about the attempt is in the status and the Events of the PaftJob; keep logs for longer by "
        "collecting them in the cluster."
    )


def _waiting(pod: Pod) -> str | None:
    """Why the container has never started; None where it has."""
    status = pod.get("status", {})
    for container in status.get("containerStatuses", ()):
        if container["name"] == CONTAINER:
            waiting = container.get("state", {}).get("waiting")
            return None if waiting is None else _told(waiting)
    for condition in status.get("conditions", ()):
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            return _told(condition)
    return "its containers are being made" if status.get("phase") == "Pending" else None


def _told(reason: dict[str, Any]) -> str:
    return ": ".join(str(reason[key]) for key in ("reason", "message") if reason.get(key)) or "it waits"


def _attempt(pod: Pod) -> int:
    return int(pod["metadata"]["labels"][ATTEMPT])


def _index(pod: Pod) -> int:
    """0 for the single pod of prepare and merge."""
    return int(pod["metadata"].get("annotations", {}).get(_INDEX, 0))
