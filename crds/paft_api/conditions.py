"""Reasons of conditions and events: constants, so that people and tools can rely on them."""

PENDING = "Pending"
RUNNING = "Running"
WAITING = "WaitingToRetry"
STOPPED = "Stopped"
STOPPING = "Stopping"
COMPLETED = "Completed"
ADOPTED = "FoundFinished"
SUSPENDED = "SuspendedBySpec"
RESUMED = "Resumed"
PROGRESSING = "Progressing"
STARTED = "Started"
JOB_SUCCEEDED = "JobSucceeded"
JOB_FAILED = "JobFailed"

QUEUED = "WaitingForAdmission"
ADMITTED = "Admitted"
OUTPUT_IN_USE = "OutputInUse"

CHILDREN_PENDING_MESSAGE = "The next stage has not started yet."
CHILDREN_CURRENT_MESSAGE = "Everything that should run has been started."
SUSPENDED_MESSAGE = "runPolicy.suspend is true: nothing is started, and arms stop after saving."
RESUMED_MESSAGE = "runPolicy.suspend is false."
EXITED_WITHOUT_RESULT = "The processes ended with exit code 0, but their report has no result."
EARLIER_SPEC = "It was started for an earlier spec."
ADAPTERS_CHANGED = "It merges adapters of an earlier spec."
ALREADY_FINISHED = "Its result is there already."
FOUND_FINISHED_MESSAGE = "found finished: the same work was done before"
OTHER_STAGE_FAILED = "Another stage failed."
WAITS_FOR_OTHER_ARM = "It starts together with the other arm."
WAITS_FOR_DEVICES = "It starts when the other arm has ended, whose GPUs it needs."
REVIVED = "It began once more after its end."

INVALID_SPEC = "InvalidSpec"
INVALID_SPEC_REMEDY = "Mend the fields named; until then nothing new starts, and what runs goes on."
CHILDREN_REFUSED = "ChildrenRefused"
REPORT_IGNORED = "ReportIgnored"


QUEUED_MESSAGE = "The queue has not admitted every attempt yet."
ADMITTED_MESSAGE = "The queue has admitted what was started."


def output_in_use_message(uri: str, other: str) -> str:
    """Message of OUTPUT_IN_USE. `other`: the older job, as namespace/name."""
    return (
        f"merge.output.uri {uri} is the output of {other}, which is older and has not ended; "
        "nothing starts until then. Give this job an output of its own, or delete one of the two."
    )
