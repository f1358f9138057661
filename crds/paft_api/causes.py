"""Why a stage failed: one cause, one exit code, one remedy.

The launcher exits with the cause's code, so that a lost termination message still tells what happened,
and a Kubernetes `podFailurePolicy` can tell permanent failures from those worth another attempt.
"""

from dataclasses import dataclass
from enum import StrEnum

EXIT_SUCCEEDED = 0
EXIT_STOPPED = 143
"""The stage was asked to stop (SIGTERM), saved, and can be continued: neither success nor failure."""


class Cause(StrEnum):
    """The closed list of reasons for which a stage or an attempt ends without a result."""

    HOST_OOM = "HostOOM"
    CUDA_OOM = "CudaOOM"
    COLLECTIVE_TIMEOUT = "CollectiveTimeout"
    PEER_LOST = "PeerLost"
    HANG = "Hang"
    PREEMPTED = "Preempted"
    NODE_LOST = "NodeLost"
    IMAGE_PULL = "ImagePull"
    UNSCHEDULABLE = "Unschedulable"
    DISK_FULL = "DiskFull"
    STORAGE_AUTH = "StorageAuth"
    STORAGE_UNAVAILABLE = "StorageUnavailable"
    DATA_INVALID = "DataInvalid"
    CONFIG_INVALID = "ConfigInvalid"
    ARTIFACT_MISMATCH = "ArtifactMismatch"
    DIVERGED = "Diverged"
    COLLAPSED = "Collapsed"
    DEADLINE_EXCEEDED = "DeadlineExceeded"
    UNKNOWN = "Unknown"


@dataclass(frozen=True, kw_only=True, slots=True)
class CauseFacts:
    """What follows from a cause.

    `retryable`: another attempt can succeed without anybody changing anything.
    `exit_code`: 64 to 79 are retryable, 80 to 99 permanent.
    `remedy`: what a person does about it, used where the raiser knows nothing better.
    """

    retryable: bool
    exit_code: int
    remedy: str


CAUSE_FACTS: dict[Cause, CauseFacts] = {
    Cause.UNKNOWN: CauseFacts(
        retryable=True, exit_code=64, remedy="Read the attempt's log; report it if the cause is not yours."
    ),
    Cause.HOST_OOM: CauseFacts(
        retryable=True,
        exit_code=65,
        remedy="Raise resources.memory, or lower training.microBatchSize or training.maxLength.",
    ),
    Cause.COLLECTIVE_TIMEOUT: CauseFacts(
        retryable=True, exit_code=66, remedy="Check the network between the processes and their logs."
    ),
    Cause.PEER_LOST: CauseFacts(
        retryable=True, exit_code=67, remedy="Another process of this arm ended first; its log has the reason."
    ),
    Cause.HANG: CauseFacts(
        retryable=True, exit_code=68, remedy="The log has the stacks of all ranks at the time of the hang."
    ),
    Cause.PREEMPTED: CauseFacts(
        retryable=True, exit_code=69, remedy="Nothing to do: the arm continues from its last checkpoint."
    ),
    Cause.NODE_LOST: CauseFacts(
        retryable=True, exit_code=70, remedy="Nothing to do: the arm continues from its last checkpoint."
    ),
    Cause.DISK_FULL: CauseFacts(
        retryable=True, exit_code=71, remedy="Free space on the scratch volume or give it more."
    ),
    Cause.STORAGE_UNAVAILABLE: CauseFacts(
        retryable=True,
        exit_code=72,
        remedy="Check storage.endpoint and that the object store answers; raise storage.retryWindow for long outages.",
    ),
    Cause.CUDA_OOM: CauseFacts(
        retryable=False,
        exit_code=80,
        remedy="Lower training.microBatchSize or training.maxLength, or use more GPUs.",
    ),
    Cause.IMAGE_PULL: CauseFacts(
        retryable=False, exit_code=81, remedy="Check trainer.image and the image pull secrets."
    ),
    Cause.UNSCHEDULABLE: CauseFacts(
        retryable=False, exit_code=82, remedy="Ask for resources that some node has, or add nodes."
    ),
    Cause.STORAGE_AUTH: CauseFacts(
        retryable=False,
        exit_code=83,
        remedy="Check the credentials (storage.secretRef, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY) and "
        "their rights.",
    ),
    Cause.DATA_INVALID: CauseFacts(retryable=False, exit_code=84, remedy="Mend the data file at the place named."),
    Cause.CONFIG_INVALID: CauseFacts(retryable=False, exit_code=85, remedy="Mend the field named in the job file."),
    Cause.ARTIFACT_MISMATCH: CauseFacts(
        retryable=False, exit_code=86, remedy="Use artifacts that belong together, or another output."
    ),
    Cause.DIVERGED: CauseFacts(
        retryable=False, exit_code=87, remedy="Lower training.learningRate; the last good checkpoint was kept."
    ),
    Cause.COLLAPSED: CauseFacts(
        retryable=False,
        exit_code=88,
        remedy="Lower sft.l1.lambda or targetSparsity: the penalty removed the whole adapter.",
    ),
    Cause.DEADLINE_EXCEEDED: CauseFacts(retryable=False, exit_code=89, remedy="Raise runPolicy.activeDeadlineSeconds."),
}


def cause_of_exit_code(exit_code: int) -> Cause:
    """The cause that a launcher's exit code stands for; `Unknown` for codes that are not ours."""
    for cause, facts in CAUSE_FACTS.items():
        if facts.exit_code == exit_code:
            return cause
    return Cause.UNKNOWN
