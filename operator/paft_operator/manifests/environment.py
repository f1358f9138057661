"""The environment of a stage's container: rendezvous and settings of libraries; all else is the RunSpec's.

`trainer.env` overrides every variable but those of the rendezvous. Secrets are files, which the kubelet keeps current.
"""

from paft_api.quantities import whole_cores
from paft_api.spec import PaftJob
from paft_api.stage_pods import MASTER_PORT, SCRATCH_DIRECTORY
from paft_api.stages import ARMS
from paft_operator.manifests.names import attempt_name, job_name_in_set, service_name
from paft_operator.manifests.settings import Manifest
from paft_operator.manifests.stage_resources import stage_resources, uses_gpus
from paft_operator.planner.actions import StartAttempt

_COMMON = {
    "HOME": SCRATCH_DIRECTORY,
    # torch asks for the user's name, which an arbitrary user id has not.
    "USER": "paft",
    "PYTHONUNBUFFERED": "1",
    # Weights and tokenizers come from object storage only.
    "HF_HUB_OFFLINE": "1",
}
_POD_NETWORK = {
    # What every container runtime calls the pod's own network. Libraries left to guess may take another one.
    "GLOO_SOCKET_IFNAME": "eth0",
    "NCCL_SOCKET_IFNAME": "eth0",
}
_GPU = {"NCCL_DEBUG": "WARN"}
_NO_GPU = {
    # Where the NVIDIA runtime is the node's default, an image made for it sees every GPU otherwise.
    "NVIDIA_VISIBLE_DEVICES": "void",
}


def environment(job: PaftJob, action: StartAttempt, *, set_name: str | None = None) -> list[Manifest]:
    """The variables of one attempt's container. `set_name`: of the JobSet that its pods are a part of."""
    variables = _settings(job, action, set_name)
    own = {variable.name: variable.to_document() for variable in job.spec.trainer.env}
    return [variable for variable in variables if variable["name"] not in own] + list(own.values())


def _settings(job: PaftJob, action: StartAttempt, set_name: str | None) -> list[Manifest]:
    resources = stage_resources(job, action.stage)
    settings: dict[str, str] = _COMMON | (_GPU if uses_gpus(resources) else _NO_GPU)
    if action.stage in ARMS:
        settings |= _POD_NETWORK | _rendezvous(job, action, set_name)
    else:
        # The launcher of an arm shares out the cores among its ranks itself.
        settings |= {"OMP_NUM_THREADS": str(whole_cores(resources.cpu))}
    return [{"name": name, "value": value} for name, value in settings.items()]


def _rendezvous(job: PaftJob, action: StartAttempt, set_name: str | None) -> dict[str, str]:
    """The Job controller adds JOB_COMPLETION_INDEX. A JobSet's Service is called as it is itself."""
    if set_name is not None:
        job_name, service = job_name_in_set(set_name, action.stage), set_name
    else:
        job_name = attempt_name(job.metadata.name, action.stage, action.attempt)
        service = service_name(job.metadata.name, action.stage)
    return {"MASTER_ADDR": f"{job_name}-0.{service}", "MASTER_PORT": str(MASTER_PORT)}
