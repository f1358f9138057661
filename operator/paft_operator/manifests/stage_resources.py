"""What a stage's container asks for."""

from paft_api.spec import PaftJob
from paft_api.spec.arm import ArmSpec
from paft_api.spec.resources import ArmResources, StageResources
from paft_api.stages import StageName
from paft_operator.manifests.settings import Manifest


def arm_spec(job: PaftJob, stage: StageName) -> ArmSpec:
    """The block of an arm."""
    return job.spec.sft if stage is StageName.SFT else job.spec.preference


def stage_resources(job: PaftJob, stage: StageName) -> ArmResources | StageResources:
    """The resources of any stage."""
    match stage:
        case StageName.PREPARE:
            return job.spec.trainer.prepare_resources
        case StageName.MERGE:
            return job.spec.merge.resources
        case StageName.SFT | StageName.PREFERENCE:
            return arm_spec(job, stage).resources


def uses_gpus(resources: ArmResources | StageResources) -> bool:
    """Whether a pod with these resources gets GPUs."""
    return isinstance(resources, ArmResources) and resources.gpus_per_node > 0


def container_resources(resources: ArmResources | StageResources) -> Manifest:
    """Requests and limits. CPU has no limit, since a throttled rank holds up all others."""
    limits: dict[str, str] = {**resources.extra, "memory": resources.memory}
    if isinstance(resources, ArmResources) and uses_gpus(resources):
        limits[resources.gpu_resource_name] = str(resources.gpus_per_node)
    return {"requests": {"cpu": resources.cpu, **limits}, "limits": limits}
