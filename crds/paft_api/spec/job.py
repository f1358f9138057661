"""The PaftJob: metadata, spec and status."""

from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from paft_api.model import Model
from paft_api.spec.base import BaseSpec
from paft_api.spec.merge import MergeSpec
from paft_api.spec.preference import PreferenceSpec
from paft_api.spec.run_policy import RunPolicy
from paft_api.spec.scheduling import SchedulingSpec
from paft_api.spec.sft import SftSpec
from paft_api.spec.storage import StorageSpec
from paft_api.spec.tracking import TrackingSpec
from paft_api.spec.trainer import TrainerSpec
from paft_api.status import PaftJobStatus

API_VERSION = "paft.dev/v1alpha1"
KIND = "PaftJob"


class Metadata(Model):
    """The part of Kubernetes' object metadata that matters here; the API server's other fields are ignored."""

    model_config = {"extra": "ignore"}

    name: Annotated[str, StringConstraints(min_length=1, max_length=40, pattern=r"^[a-z]([-a-z0-9]*[a-z0-9])?$")]
    """A DNS label that starts with a letter, at most 40 characters: names of children are made from it."""

    namespace: Annotated[str, StringConstraints(max_length=63)] = "default"
    """Namespace. Default: default."""

    uid: Annotated[str, StringConstraints(max_length=64)] | None = None
    """Set by the API server; by `paft run` for local jobs."""

    generation: Annotated[int, Field(ge=1)] = 1
    """Rises with every change of spec; set by the API server or `paft run`."""


class PaftJobSpec(Model):
    """Two adapters trained from one base, and the merge of both."""

    base: BaseSpec
    """The checkpoint both arms start from."""

    storage: StorageSpec
    """Where artifacts live and how object storage is reached."""

    sft: SftSpec
    """The supervised arm."""

    preference: PreferenceSpec
    """The alignment arm."""

    merge: MergeSpec
    """How both become one checkpoint."""

    tracking: TrackingSpec = TrackingSpec()
    """Experiment trackers."""

    trainer: TrainerSpec = TrainerSpec()
    """Pod settings."""

    scheduling: SchedulingSpec = SchedulingSpec()
    """Backends and queues."""

    run_policy: RunPolicy = RunPolicy()
    """Limits of the whole job."""

    @model_validator(mode="after")
    def _output_is_apart(self) -> Self:
        output = self.merge.output.uri
        for name, uri in (("base.uri", self.base.uri), ("storage.artifactsUri", self.storage.artifacts_uri)):
            if output.startswith(uri) or uri.startswith(output):
                raise ValueError(
                    f"merge.output.uri {output} and {name} {uri} lie in one another; "
                    "give the output a folder of its own"
                )
        return self


class PaftJob(Model):
    """One preference-aligned fine-tuning."""

    api_version: Literal["paft.dev/v1alpha1"]
    """paft.dev/v1alpha1."""

    kind: Literal["PaftJob"]
    """PaftJob."""

    metadata: Metadata
    """Name and namespace."""

    spec: PaftJobSpec
    """What is asked for."""

    status: PaftJobStatus | None = None
    """What is so; written by the operator or `paft run` only."""
