"""spec.trainer: the pods in which stages run. `paft run` uses none of it but env."""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from paft_api.labels import is_reserved
from paft_api.model import DnsLabel, DnsSubdomain, Model
from paft_api.spec.free_form import FreeForm
from paft_api.spec.pod_template import require_no_conflict
from paft_api.spec.resources import StageResources
from paft_api.stage_pods import RENDEZVOUS_VARIABLES


def _require_free(key: str) -> str:
    if is_reserved(key):
        raise ValueError(f"{key} is set by the operator or by Kubernetes; remove it")
    return key


def _require_no_rendezvous(name: str) -> str:
    if name in RENDEZVOUS_VARIABLES:
        raise ValueError(f"{name} is set by the operator; remove it")
    return name


Label = Annotated[str, StringConstraints(max_length=63, pattern=r"^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$")]
"""A label's value."""

QualifiedName = Annotated[
    str,
    StringConstraints(
        max_length=317, pattern=r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$"
    ),
]
"""Key of a label, an annotation or a taint: `name` or `domain/name`."""

FreeName = Annotated[QualifiedName, AfterValidator(_require_free)]
"""A key that is neither ours nor the Job controller's."""


class Toleration(Model):
    """A Kubernetes toleration."""

    key: QualifiedName | None = None
    """Taint key. Default: all keys, with operator Exists."""

    operator: Literal["Exists", "Equal"] = "Equal"
    """How value is compared. Default: Equal."""

    value: Label | None = None
    """Taint value, with operator Equal. Default: none."""

    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    """Taint effect. Default: all effects."""

    toleration_seconds: Annotated[int, Field(ge=0, le=31_536_000)] | None = None
    """Seconds for which a NoExecute taint is tolerated. Default: for ever."""

    @model_validator(mode="after")
    def _exists_has_no_value(self) -> Self:
        if self.operator == "Exists" and self.value is not None:
            raise ValueError(f"value {self.value!r} cannot be given with operator Exists; remove it or use Equal")
        if self.operator == "Equal" and self.key is None:
            raise ValueError("operator Equal needs a key; add it, or use operator Exists to tolerate every taint")
        return self


class EnvironmentVariable(Model):
    """One variable of the trainer's environment. Secrets do not belong here."""

    name: Annotated[
        str,
        StringConstraints(min_length=1, max_length=256, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$"),
        AfterValidator(_require_no_rendezvous),
    ]
    """Name of the variable; not JOB_COMPLETION_INDEX, MASTER_ADDR or MASTER_PORT."""

    value: Annotated[str, StringConstraints(max_length=32768)]
    """Its value."""


class ImagePullSecret(Model):
    """A Secret in the PaftJob's own namespace."""

    name: DnsSubdomain
    """Name of the Secret, of type kubernetes.io/dockerconfigjson."""


class TrainerSpec(Model):
    """Pod settings that all stages share."""

    image: Annotated[str, StringConstraints(min_length=1, max_length=512)] | None = None
    """Trainer image. Default: the operator's."""

    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] = "IfNotPresent"
    """When the image is pulled. Default: IfNotPresent."""

    image_pull_secrets: Annotated[tuple[ImagePullSecret, ...], Field(max_length=16)] = ()
    """Secrets the image is pulled with. Default: none."""

    service_account_name: DnsLabel | None = None
    """ServiceAccount of the pods, for workload identity. Default: one that may only write its own report."""

    node_selector: Annotated[dict[QualifiedName, Label], Field(max_length=32)] = {}
    """Labels a node must have. Default: none."""

    tolerations: Annotated[tuple[Toleration, ...], Field(max_length=32)] = ()
    """Taints the pods tolerate. Default: none."""

    affinity: FreeForm = {}
    """A Kubernetes affinity: nodeAffinity, podAffinity, podAntiAffinity; at most 16384 characters of JSON.
    Default: none."""

    runtime_class_name: DnsSubdomain | None = None
    """RuntimeClass of the pods. Default: the cluster's."""

    pod_labels: Annotated[dict[FreeName, Label], Field(max_length=32)] = {}
    """Additional labels of the pods; none of paft.dev/, batch.kubernetes.io/ and app.kubernetes.io/name, component,
    managed-by. Default: none."""

    pod_annotations: Annotated[
        dict[FreeName, Annotated[str, StringConstraints(max_length=16384)]], Field(max_length=32)
    ] = {}
    """Additional annotations of the pods; none of paft.dev/ and batch.kubernetes.io/. Default: none."""

    env: Annotated[tuple[EnvironmentVariable, ...], Field(max_length=64)] = ()
    """Additional environment of all stages; it overrides the operator's own settings. Default: none."""

    ipc_lock: bool = False
    """Give the arms the capability IPC_LOCK, with which RDMA pins memory where the node limits locked memory. The
    restricted Pod Security Standard refuses it, and it takes effect for processes of root only. Default: false."""

    termination_grace_period_seconds: Annotated[int, Field(ge=60, le=86400)] = 600
    """Seconds that pods have to save and report after they were asked to stop. Default: 600."""

    prepare_resources: StageResources = StageResources()
    """CPU and memory of the prepare stage."""

    pod_template: Annotated[FreeForm, AfterValidator(require_no_conflict)] = {}
    """Metadata and spec of a pod, merged into every stage's pod as by kubectl patch: maps by key, lists of containers,
    volumes and mounts by name; the container of a stage is `trainer`. What the stages rely on cannot be changed.
    Default: none."""
