"""Why an attempt failed, or why its pods do not run yet, from what its Job, its pods and its report say. Total.

Over all pods of an attempt: a disruption first, as it ends the others too; then the failure that came first and is not
PeerLost; then PeerLost.
"""

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from pydantic import ValidationError

from paft_api.causes import CAUSE_FACTS, EXIT_STOPPED, Cause, cause_of_exit_code
from paft_api.report import Failure, StageReport
from paft_api.run_spec import TerminationMessage
from paft_operator.observing.records import JobRecord, PodRecord

_DISRUPTIONS = {
    "PreemptionByScheduler": Cause.PREEMPTED,
    "EvictionByEvictionAPI": Cause.PREEMPTED,
    "TerminationByKubelet": Cause.PREEMPTED,
    "DeletionByTaintManager": Cause.NODE_LOST,
    "DeletionByPodGC": Cause.NODE_LOST,
}
_NODE_LOST_REASONS = frozenset({"NodeLost", "NodeShutdown", "Shutdown", "Terminated"})
_REFUSED_BY_NODE = re.compile(r"^(OutOf\w+|UnexpectedAdmissionError|NodeAffinity|NodePorts|Evicted|Preempting)$")
_OWN_DISK_LIMIT = re.compile(r"exceeds the (total )?limit|ephemeral local storage usage", re.IGNORECASE)
_NO_SUCH_PROGRAM = frozenset({"StartError", "ContainerCannotRun"})
_IMAGE_REASONS = frozenset(
    {
        "ErrImagePull",
        "ImagePullBackOff",
        "ErrImageNeverPull",
        "InvalidImageName",
        "ImageInspectError",
        "RegistryUnavailable",
        "SignatureValidationFailed",
    }
)
_CONFIGURATION_REASONS = frozenset({"CreateContainerConfigError", "CreateContainerError", "RunContainerError"})
_EXIT_CODE_IN_WORDS = re.compile(r"failed with exit code (\d+)")
_KILLED = 137
_LONGEST_DETAIL = 1200
_NEVER = datetime.max.replace(tzinfo=UTC)

NO_EVIDENCE = "Its Job failed, and no pod is left that tells why"
DELETED_MESSAGE = "Its Job was deleted by somebody else."
STOPPED_FROM_OUTSIDE = "was asked to stop by somebody else, and saved"
KILLED_MESSAGE = "was killed (SIGKILL), and left no message"
WRONG_IMAGE_REMEDY = "Check trainer.image: it must hold the paft_trainer package."
MISSING_REFERENCE_REMEDY = "Check the Secrets that the job names (storage.secretRef, data[].secretRef) and trainer."
LOST_MESSAGE = "was deleted, and its node does not say that it has ended"
PULL_FAILS = "the image cannot be pulled"


def failure_of_attempt(job: JobRecord, pods: Iterable[PodRecord], report: StageReport | None) -> Failure:
    """Why a Job that has failed did so. `pods`: its own. `report`: the attempt's own."""
    found = [failure for pod in pods if (failure := _failure_of_pod(pod)) is not None]
    told = report.failure if report is not None else None
    decisive = _decisive(found)
    if decisive is None:
        return told if told is not None else _failure_of_job(job)
    return _enriched(decisive[1], decisive[0], told)


def failure_of_deleted_job() -> Failure:
    """Why an attempt ended whose Job is gone, though nobody here asked it to stop."""
    return _failure(Cause.PREEMPTED, DELETED_MESSAGE)


def failure_of_lost_pod(pod: PodRecord) -> Failure:
    """Why an attempt ended one of whose pods should be gone long since, and is not."""
    return _failure(Cause.NODE_LOST, f"{_place(pod)} {LOST_MESSAGE}")


def pending_failure(pods: Iterable[PodRecord]) -> Failure | None:
    """Why pods of a running attempt do not run yet, as far as they say: this may pass by itself, or never."""
    return next((failure for pod in pods if (failure := _pending(pod)) is not None), None)


def has_all_evidence(job: JobRecord, pods: Sequence[PodRecord]) -> bool:
    """Whether these pods are all of a failed Job's and have all ended, so that no other can change the verdict."""
    return len(pods) >= job.pods and all(pod.phase in ("Failed", "Succeeded") for pod in pods)


PodFailure = tuple[PodRecord, Failure]


def _decisive(found: Sequence[PodFailure]) -> PodFailure | None:
    failed_at = min((_ended_at(pod) for pod, _ in found if pod.exit_code != EXIT_STOPPED), default=_NEVER)

    def precedence(one: PodFailure) -> tuple[int, datetime, str]:
        pod, failure = one
        rank = 0 if _is_disruption(pod) else 2 if failure.cause is Cause.PEER_LOST else 1
        if rank == 1 and pod.exit_code == EXIT_STOPPED and _ended_at(pod) >= failed_at:
            # The Job controller asks all others to stop once a pod has failed, often within the same second, and the
            # kubelet tells whole seconds.
            rank = 3
        return rank, _ended_at(pod), pod.name

    return min(found, key=precedence, default=None)


def _ended_at(pod: PodRecord) -> datetime:
    return pod.terminated_at or _NEVER


def _failure_of_pod(pod: PodRecord) -> PodFailure | None:
    for classify in (_disrupted, _evicted, _terminated, _lost):
        failure = classify(pod)
        if failure is not None:
            return pod, failure
    return None


def _is_disruption(pod: PodRecord) -> bool:
    return pod.disruption_reason in _DISRUPTIONS and not _is_own_disk_limit(pod)


def _is_own_disk_limit(pod: PodRecord) -> bool:
    return any(_OWN_DISK_LIMIT.search(text) for text in (pod.message, pod.disruption_message))


def _disrupted(pod: PodRecord) -> Failure | None:
    if not _is_disruption(pod):
        return None
    detail = pod.message or pod.disruption_message or pod.disruption_reason
    return _failure(_DISRUPTIONS[pod.disruption_reason], f"{_place(pod)}: {detail}")


def _evicted(pod: PodRecord) -> Failure | None:
    """Ended by its node before or instead of its container."""
    if _is_own_disk_limit(pod):
        return _failure(Cause.DISK_FULL, f"{_place(pod)}: {pod.message or pod.disruption_message}")
    if pod.reason in _NODE_LOST_REASONS:
        return _failure(Cause.NODE_LOST, f"{_place(pod)}: {pod.message or pod.reason}")
    if _REFUSED_BY_NODE.match(pod.reason):
        return _failure(Cause.PREEMPTED, f"{_place(pod)}: {pod.message or pod.reason}")
    return None


def _terminated(pod: PodRecord) -> Failure | None:
    code = pod.exit_code
    if code is None or code == 0:
        return None
    place = f"{_place(pod)} ended with exit code {code}"
    told = _termination_message(pod)
    if pod.terminated_reason == "OOMKilled":
        return _failure(Cause.HOST_OOM, f"{place} (OOMKilled){_said(pod, told)}")
    if pod.terminated_reason in _NO_SUCH_PROGRAM:
        return _failure(Cause.CONFIG_INVALID, f"{place}{_said(pod, told)}", WRONG_IMAGE_REMEDY)
    if told is not None and told.cause is not None:
        cause = next((cause for cause in Cause if cause == told.cause), cause_of_exit_code(code))
        return _failure(cause, f"{place}: {told.message}", told.remedy, rank=told.rank)
    if code == EXIT_STOPPED:
        return _failure(Cause.PREEMPTED, f"{_place(pod)} {STOPPED_FROM_OUTSIDE}")
    if code == _KILLED:
        return _failure(Cause.UNKNOWN, f"{place}: it {KILLED_MESSAGE}{_said(pod, told)}")
    return _failure(cause_of_exit_code(code), f"{place}{_said(pod, told)}")


def _lost(pod: PodRecord) -> Failure | None:
    """Failed without a word of its container."""
    if pod.phase != "Failed" or pod.exit_code is not None:
        return None
    return _failure(Cause.UNKNOWN, f"{_place(pod)} failed: {pod.message or pod.reason or 'it gave no reason'}")


def _failure_of_job(job: JobRecord) -> Failure:
    if job.reason == "DeadlineExceeded":
        return _failure(Cause.DEADLINE_EXCEEDED, f"Its Job failed: {job.message}")
    if "DisruptionTarget" in job.message:
        return _failure(Cause.PREEMPTED, f"Its pod was disrupted, and is gone: {job.message}")
    told = _EXIT_CODE_IN_WORDS.search(job.message)
    code = int(told[1]) if told is not None else None
    if code == EXIT_STOPPED:
        return _failure(Cause.PREEMPTED, f"Its pod {STOPPED_FROM_OUTSIDE}, and is gone: {job.message}")
    cause = cause_of_exit_code(code) if code is not None else Cause.UNKNOWN
    return _failure(cause, f"{NO_EVIDENCE}: {job.reason}: {job.message}")


def _pending(pod: PodRecord) -> Failure | None:
    if pod.phase != "Pending" or pod.is_gated:
        return None
    if pod.waiting_reason in _IMAGE_REASONS:
        detail = pod.waiting_message or pod.waiting_reason
        return _failure(Cause.IMAGE_PULL, f"{_place(pod)}: {PULL_FAILS}: {pod.waiting_reason}: {detail}")
    if pod.waiting_reason in _CONFIGURATION_REASONS:
        detail = f"{pod.waiting_reason}: {pod.waiting_message}"
        return _failure(Cause.CONFIG_INVALID, f"{_place(pod)}: {detail}", MISSING_REFERENCE_REMEDY)
    if pod.unschedulable_message:
        return _failure(Cause.UNSCHEDULABLE, f"{_place(pod)}: {pod.unschedulable_message}")
    return None


def _termination_message(pod: PodRecord) -> TerminationMessage | None:
    """The launcher's message; None where it left none, or something else wrote there."""
    try:
        return TerminationMessage.model_validate_json(pod.termination_message)
    except ValidationError:
        return None


def _said(pod: PodRecord, told: TerminationMessage | None) -> str:
    """The launcher's message, else the last lines of the log, which the kubelet puts in its place."""
    if told is not None:
        return f": {told.message}" if told.message else ""
    lines = pod.termination_message.strip()
    return f"; its last lines were: {lines[-_LONGEST_DETAIL:]}" if lines else ""


def _enriched(failure: Failure, pod: PodRecord, told: Failure | None) -> Failure:
    """With what the report knows of the same failure: its findings, and its words where the pod has none."""
    if told is None or _is_disruption(pod) or failure.cause not in (told.cause, Cause.UNKNOWN):
        return failure
    code = f" ended with exit code {pod.exit_code}" if pod.exit_code is not None else ""
    return told.model_copy(update={"message": f"{_place(pod)}{code}: {told.message}"[:2048]})


def _place(pod: PodRecord) -> str:
    return f"pod {pod.name} on node {pod.node}" if pod.node else f"pod {pod.name}"


def _failure(cause: Cause, message: str, remedy: str = "", *, rank: int | None = None) -> Failure:
    return Failure(cause=cause, message=message[:2048], remedy=remedy or CAUSE_FACTS[cause].remedy, rank=rank)
