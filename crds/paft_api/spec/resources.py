"""spec.*.resources: how much of a cluster a stage gets."""

from typing import Annotated

from pydantic import Field

from paft_api.model import Model, Quantity


class StageResources(Model):
    """Resources of a stage that runs as one pod."""

    cpu: Quantity = "4"
    """CPU request of the pod. Default: 4."""

    memory: Quantity = "8Gi"
    """Memory request and limit of the pod. Default: 8Gi."""


class ArmResources(Model):
    """Resources of one arm. `nodes × processesPerNode` processes train together."""

    nodes: Annotated[int, Field(ge=1, le=1024)] = 1
    """Pods. Default: 1."""

    gpus_per_node: Annotated[int, Field(ge=0, le=64)] = 1
    """GPUs of each pod; 0 trains on CPU. Default: 1."""

    processes_per_node: Annotated[int, Field(ge=1, le=64)] | None = None
    """Processes of each pod. Default: gpusPerNode, at least 1."""

    cpu: Quantity = "8"
    """CPU request of each pod. Default: 8."""

    memory: Quantity = "64Gi"
    """Memory request and limit of each pod. Default: 64Gi."""

    shared_memory: Quantity = "8Gi"
    """Size of /dev/shm in each pod. Default: 8Gi."""

    @property
    def processes(self) -> int:
        """Processes in all."""
        return self.nodes * self.resolved_processes_per_node

    @property
    def resolved_processes_per_node(self) -> int:
        """Processes of each pod, with the default worked out."""
        return self.processes_per_node if self.processes_per_node is not None else max(1, self.gpus_per_node)
