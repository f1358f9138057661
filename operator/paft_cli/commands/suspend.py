"""`paft suspend NAME` and `paft resume NAME`."""

from paft_api.status import StageState
from paft_cli.cluster.paft_jobs import PaftJobs
from paft_cli.commands.documents import print_document
from paft_cli.errors import CommandError
from paft_cli.job_document import JobDocument
from paft_cli.targets import ClusterTarget

FIELD_MANAGER = "paft-suspend"
_GITOPS = (
    "Where a GitOps tool delivers this PaftJob, change spec.runPolicy.suspend in Git too: the tool may set it back."
)


def suspend(target: ClusterTarget, *, output: str) -> None:
    """Let a PaftJob save and stop. Raises CommandError for one that has ended."""
    jobs = PaftJobs.of(target.options)
    job = jobs.get(target.name)
    if job.end is not None:
        raise CommandError(f"PaftJob {job.name} has {job.end.value.lower()}: there is nothing to suspend")
    changed = _set(jobs, job, to=True)
    if output == "json":
        print_document(changed.document)
        return
    if job.is_suspended:
        print(f"PaftJob {job.name} was suspended already")
        return
    running = [stage.name.value for stage in job.status.stages if stage.state is StageState.RUNNING]
    after = f" after {' and '.join(running)} saved" if running else ""
    print(f"PaftJob {job.name} stops{after}")
    print(f"To go on:\n  {jobs.connection.command('resume', job.name)}\n{_GITOPS}")


def resume(target: ClusterTarget, *, output: str) -> None:
    """Let a suspended PaftJob go on."""
    jobs = PaftJobs.of(target.options)
    job = jobs.get(target.name)
    changed = _set(jobs, job, to=False) if job.is_suspended else job
    if output == "json":
        print_document(changed.document)
        return
    if not job.is_suspended:
        print(f"PaftJob {job.name} is not suspended, it is {job.status.phase}")
        return
    print(f"PaftJob {job.name} goes on; arms continue from their last checkpoints, in attempts that are not counted")
    print(f"To watch it:\n  {jobs.connection.command('watch', job.name)}\n{_GITOPS}")


def _set(jobs: PaftJobs, job: JobDocument, *, to: bool) -> JobDocument:
    change = {"spec": {"runPolicy": {"suspend": to}}}
    return jobs.change(job.name, change, field_manager=FIELD_MANAGER)
