"""spec.scheduling: who places the pods. `paft run` has no use for it."""

from typing import Literal, Self

from pydantic import model_validator

from paft_api.model import DnsLabel, Model


class SchedulingSpec(Model):
    """Backends and queues."""

    backend: Literal["auto", "jobs", "jobset"] = "auto"
    """Which objects carry the pods of the arms. Default: auto, JobSet where its API is installed, else Jobs."""

    queue_name: DnsLabel | None = None
    """Kueue LocalQueue in which everything waits that has pods. Default: none."""

    priority_class_name: DnsLabel | None = None
    """PriorityClass of the pods. Default: the cluster's."""

    admission: Literal["PerArm", "Atomic"] = "PerArm"
    """Whether a queue admits each arm alone or both together, as one JobSet. Default: PerArm."""

    @model_validator(mode="after")
    def _atomic_needs_a_queue(self) -> Self:
        if self.admission == "Atomic" and self.queue_name is None:
            raise ValueError("admission Atomic needs queueName; add the name of a LocalQueue, or use PerArm")
        return self

    @model_validator(mode="after")
    def _atomic_needs_job_sets(self) -> Self:
        if self.admission == "Atomic" and self.backend == "jobs":
            raise ValueError("admission Atomic needs JobSets; use backend jobset or auto, or admission PerArm")
        return self
