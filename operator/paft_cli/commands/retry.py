"""`paft retry NAME`."""

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime

from paft_api.labels import RETRY
from paft_api.stages import ARMS, StageName
from paft_api.status import ConditionType, PaftJobStatus, StageState
from paft_cli.cluster.paft_jobs import PaftJobs
from paft_cli.commands.documents import print_document
from paft_cli.errors import CommandError
from paft_cli.job_document import JobDocument, JobEnd
from paft_cli.targets import ClusterTarget

FIELD_MANAGER = "paft-retry"


def retry(target: ClusterTarget, *, output: str) -> None:
    """Ask the operator to try again what has failed, and say what begins. Raises CommandError."""
    jobs = PaftJobs.of(target.options)
    job = jobs.get(target.name)
    require_failed(job)
    change = {"metadata": {"annotations": {RETRY: new_token(datetime.now(UTC))}}}
    asked = jobs.change(job.name, change, field_manager=FIELD_MANAGER)
    if output == "json":
        print_document(asked.document)
        return
    print("\n".join(announcement(job)))
    print(f"To watch it:\n  {jobs.connection.command('watch', job.name)}")


def require_failed(job: JobDocument) -> None:
    """Raises CommandError where a retry would do nothing."""
    if job.end is JobEnd.SUCCEEDED:
        raise CommandError(f"PaftJob {job.name} has succeeded: there is nothing to retry")
    if job.awaits_retry:
        raise CommandError(f"a retry of PaftJob {job.name} was asked for already; the operator has not begun it yet")
    if not job.is_current:
        raise CommandError(
            f"the operator has not seen generation {job.generation} of PaftJob {job.name} yet; "
            "what its spec changes is judged anew without a retry"
        )
    if job.end is None:
        raise CommandError(
            f"PaftJob {job.name} has not failed, it is {job.status.phase}: there is nothing to retry; "
            "attempts that fail are repeated up to runPolicy.backoffLimit by themselves"
        )
    if not job.says(ConditionType.FAILED):
        raise CommandError(
            f"the spec of PaftJob {job.name} is not valid, so there is nothing to retry: mend its file and "
            f"paft submit it; paft status {job.name} tells what is wrong"
        )


def new_token(now: datetime) -> str:
    """Unique, and readable in a list of them."""
    return f"{now:%Y%m%dT%H%M%SZ}-{uuid.uuid4().hex[:8]}"


def announcement(job: JobDocument) -> Iterator[str]:
    """What a retry of a failed job begins, and what it leaves alone."""
    begins = " and ".join(f"{name} as attempt {job.status.stage(name).attempt + 1}" for name in beginning(job.status))
    when = "once it is resumed" if job.is_suspended else "now"
    yield f"PaftJob {job.name} is tried again {when}: {begins}"
    finished = [stage.name.value for stage in job.status.stages if stage.state is StageState.SUCCEEDED]
    if finished:
        yield f"Finished stages stay: {', '.join(finished)}"


def beginning(status: PaftJobStatus) -> list[StageName]:
    """The stages that begin first."""
    for names in ((StageName.PREPARE,), ARMS, (StageName.MERGE,)):
        unfinished = [name for name in names if status.stage(name).state is not StageState.SUCCEEDED]
        if unfinished:
            return unfinished
    return []
