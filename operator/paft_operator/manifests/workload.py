"""Which object runs the pods of an attempt: a Job, or for arms a JobSet."""

from collections.abc import Sequence

from paft_api.spec import PaftJob
from paft_api.stages import ARMS, StageName
from paft_operator.manifests.arm_job import arm_job
from paft_operator.manifests.job_set import job_set
from paft_operator.manifests.settings import Manifest, ManifestSettings
from paft_operator.manifests.single_pod_job import single_pod_job
from paft_operator.planner.actions import Action, StartAttempt


def uses_job_set(job: PaftJob, stage: StageName, settings: ManifestSettings) -> bool:
    """Arms do where the spec asks for it, or lets the operator choose and JobSet is installed."""
    backend = job.spec.scheduling.backend
    return stage in ARMS and (backend == "jobset" or (backend == "auto" and settings.has_job_sets))


def workload(job: PaftJob, starts: Sequence[StartAttempt], settings: ManifestSettings) -> Manifest:
    """The object for the attempts that start together: several arms, or one stage."""
    if uses_job_set(job, starts[0].stage, settings):
        return job_set(job, starts, settings)
    (start,) = starts
    return arm_job(job, start, settings) if start.stage in ARMS else single_pod_job(job, start, settings)


def started_together(job: PaftJob, actions: Sequence[Action]) -> list[tuple[StartAttempt, ...]]:
    """The attempts to start, in groups that share a workload: with `admission: Atomic` both arms do."""
    starts = [action for action in actions if isinstance(action, StartAttempt)]
    if job.spec.scheduling.admission != "Atomic":
        return [(start,) for start in starts]
    arms = tuple(start for start in starts if start.stage in ARMS)
    return [*((arms,) if arms else ()), *((start,) for start in starts if start.stage not in ARMS)]
