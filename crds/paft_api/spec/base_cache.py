"""spec.base.cache: where a node keeps parts of bases, so that they are read from object storage once."""

from typing import Annotated, Self

from pydantic import AfterValidator, StringConstraints, model_validator

from paft_api.model import DnsSubdomain, Model, Quantity
from paft_api.quantities import quantity_value


def _require_no_parents(path: str) -> str:
    if ".." in path.split("/"):
        raise ValueError(f"{path} leads upwards; write the folder itself, without ..")
    return path


class HostPathCache(Model):
    """A folder of the node. The baseline and restricted Pod Security Standards refuse pods with one."""

    path: Annotated[
        str,
        StringConstraints(min_length=2, max_length=1024, pattern=r"^/+[^/]"),
        AfterValidator(_require_no_parents),
    ]
    """Absolute path, made where it is missing; but the user of the pods has to be let in: a folder that the kubelet
    made belongs to root, and one that cannot be written fails the job. `paft run` uses the same folder of its own
    machine."""


class ClaimCache(Model):
    """A volume of the job's own namespace."""

    claim_name: DnsSubdomain
    """Name of a PersistentVolumeClaim; ReadWriteMany where pods of several nodes share it."""


class EmptyDirCache(Model):
    """A folder that lives as long as its pod: the processes of a pod share it, and nobody else does."""

    size_limit: Quantity | None = None
    """Size at which the kubelet evicts the pod; the cache stays below it. Default: none."""


class BaseCacheSpec(Model):
    """Exactly one place. Jobs that name the same one share what is in it; each part is verified when it is read."""

    host_path: HostPathCache | None = None
    """A folder of each node."""

    persistent_volume_claim: ClaimCache | None = None
    """A claim that exists already."""

    empty_dir: EmptyDirCache | None = None
    """A folder of each pod."""

    max_size: Quantity = "200Gi"
    """Largest size of the cache; what was used least recently gives way. Default: 200Gi."""

    @property
    def max_bytes(self) -> int:
        """maxSize in bytes, and not more than an emptyDir may hold."""
        limits = [self.max_size]
        if self.empty_dir is not None and self.empty_dir.size_limit is not None:
            limits.append(self.empty_dir.size_limit)
        return int(min(quantity_value(limit) for limit in limits))

    @model_validator(mode="after")
    def _exactly_one_place(self) -> Self:
        places = (self.host_path, self.persistent_volume_claim, self.empty_dir)
        if sum(place is not None for place in places) != 1:
            raise ValueError("exactly one of hostPath, persistentVolumeClaim and emptyDir has to be given")
        return self
