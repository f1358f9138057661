"""spec.*.resources: how much of a cluster a stage gets."""

from typing import Annotated

from pydantic import Field, StringConstraints

from paft_api.model import Model, Quantity

ResourceName = Annotated[
    str,
    StringConstraints(
        max_length=317,
        pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?/[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$",
    ),
]
"""A resource of a device plugin, such as `nvidia.com/gpu`."""

ExtraResourceName = Annotated[
    str,
    StringConstraints(
        max_length=317,
        pattern=r"^(ephemeral-storage|hugepages-[0-9]+[KMG]i"
        r"|[a-z0-9]([-a-z0-9.]*[a-z0-9])?/[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)$",
    ),
]

ExtraResources = Annotated[dict[ExtraResourceName, Quantity], Field(max_length=16)]


class StageResources(Model):
    """Resources of a stage that runs as one pod."""

    cpu: Quantity = "4"
    """CPU request of the pod. Default: 4."""

    memory: Quantity = "8Gi"
    """Memory request and limit of the pod. Default: 8Gi."""

    extra: ExtraResources = {}
    """Further requests, which are limits too: ephemeral-storage, hugepages-2Mi or what a device plugin offers.
    Default: none."""


class ArmResources(Model):
    """Resources of one arm. `nodes × processesPerNode` processes train together."""

    nodes: Annotated[int, Field(ge=1, le=1024)] = 1
    """Pods. Default: 1."""

    gpus_per_node: Annotated[int, Field(ge=0, le=64)] = 1
    """GPUs of each pod; 0 trains on CPU. Default: 1."""

    gpu_resource_name: ResourceName = "nvidia.com/gpu"
    """What the cluster calls its GPUs, such as nvidia.com/mig-3g.40gb. Default: nvidia.com/gpu."""

    processes_per_node: Annotated[int, Field(ge=1, le=64)] | None = None
    """Processes of each pod. Default: gpusPerNode, at least 1."""

    cpu: Quantity = "8"
    """CPU request of each pod, shared out as threads among its processes. Default: 8."""

    memory: Quantity = "64Gi"
    """Memory request and limit of each pod; what is used of sharedMemory counts too. Default: 64Gi."""

    shared_memory: Quantity = "8Gi"
    """Largest size of /dev/shm in each pod; its pages are part of memory. Default: 8Gi."""

    extra: ExtraResources = {}
    """Further requests of each pod, which are limits too: network devices (rdma/hca: 1, vpc.amazonaws.com/efa: 4),
    ephemeral-storage, hugepages-2Mi. Default: none."""

    @property
    def processes(self) -> int:
        """Processes in all."""
        return self.nodes * self.resolved_processes_per_node

    @property
    def resolved_processes_per_node(self) -> int:
        """Processes of each pod, with the default worked out."""
        return self.processes_per_node if self.processes_per_node is not None else max(1, self.gpus_per_node)
