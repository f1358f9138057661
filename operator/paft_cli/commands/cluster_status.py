"""`paft status NAME`."""

from collections.abc import Callable, Iterator

from paft_api.status import StageState
from paft_cli.cluster.paft_jobs import PaftJobs
from paft_cli.commands.documents import print_document
from paft_cli.display.stage_rows import status_rows
from paft_cli.display.status_lines import condition_lines, headline, output_lines, time_lines
from paft_cli.job_document import JobDocument, JobEnd
from paft_cli.tables import aligned
from paft_cli.targets import ClusterTarget

_NOT_SEEN = (
    "The operator has not seen it yet. If this stays so, see whether it runs:\n"
    "  kubectl get pods --all-namespaces --selector app.kubernetes.io/name=paft-operator"
)


def show_cluster_status(target: ClusterTarget, *, output: str) -> None:
    """Print what the operator says of a PaftJob. Raises CommandError."""
    jobs = PaftJobs.of(target.options)
    job = jobs.get(target.name)
    if output == "json":
        print_document(job.document)
    else:
        print("\n".join(status_lines(job, command=jobs.connection.command)))


def status_lines(job: JobDocument, *, command: Callable[..., str]) -> Iterator[str]:
    """All of it. `command`: words to a command line that means the same cluster and namespace."""
    yield headline(job.name, job.status)
    if not job.status.stages:
        yield from (*condition_lines(job.status), _NOT_SEEN)
        return
    yield aligned(status_rows(job.status))
    yield from time_lines(job.status)
    yield from condition_lines(job.status)
    yield from output_lines(job.status)
    yield from _next_steps(job, command)


def _next_steps(job: JobDocument, command: Callable[..., str]) -> Iterator[str]:
    if "deletionTimestamp" in job.document["metadata"]:
        yield "It is being deleted."
    elif not job.is_current:
        yield f"This is about generation {job.status.observed_generation}; generation {job.generation} is not seen yet."
    elif job.end is JobEnd.FAILED:
        for stage in job.status.stages:
            if stage.state is StageState.FAILED:
                attempt = str(stage.attempt)
                yield f"The log:\n  {command('logs', stage.name.value, job.name, '--attempt', attempt)}"
        yield f"To try again, once it is mended:\n  {command('retry', job.name)}"
    elif job.awaits_retry:
        yield "A retry was asked for and begins soon."
    elif job.is_suspended:
        yield f"To go on:\n  {command('resume', job.name)}"
