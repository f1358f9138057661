"""spec.trainer: the pods in which stages run. `paft run` uses none of it but env."""

from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from paft_api.model import DnsLabel, Model

Label = Annotated[str, StringConstraints(max_length=63)]


class Toleration(Model):
    """A Kubernetes toleration."""

    key: Annotated[str, StringConstraints(max_length=317)] | None = None
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

    name: Annotated[str, StringConstraints(min_length=1, max_length=256, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
    """Name of the variable."""

    value: Annotated[str, StringConstraints(max_length=32768)]
    """Its value."""


class TrainerSpec(Model):
    """Pod settings that all stages share."""

    image: Annotated[str, StringConstraints(min_length=1, max_length=512)] | None = None
    """Trainer image. Default: the operator's."""

    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] = "IfNotPresent"
    """When the image is pulled. Default: IfNotPresent."""

    service_account_name: DnsLabel | None = None
    """ServiceAccount of the pods, for workload identity. Default: one that may only write its own report."""

    node_selector: Annotated[dict[Annotated[str, StringConstraints(max_length=317)], Label], Field(max_length=32)] = {}
    """Labels a node must have. Default: none."""

    tolerations: Annotated[tuple[Toleration, ...], Field(max_length=32)] = ()
    """Taints the pods tolerate. Default: none."""

    pod_labels: Annotated[dict[Annotated[str, StringConstraints(max_length=317)], Label], Field(max_length=32)] = {}
    """Additional labels of the pods. Default: none."""

    env: Annotated[tuple[EnvironmentVariable, ...], Field(max_length=64)] = ()
    """Additional environment of all stages. Default: none."""
