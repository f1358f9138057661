"""Settings of the operator, from flags, else from environment variables, else their defaults.

A field `lease_name` is the flag `--lease-name` and the variable `PAFT_OPERATOR_LEASE_NAME`.
"""

import argparse
import socket
import uuid
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

ENVIRONMENT_PREFIX = "PAFT_OPERATOR_"


def _split(value: object) -> object:
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


def _own_identity() -> str:
    """The host name, in a cluster the pod's, and something that a second process on this host does not have."""
    return f"{socket.gethostname()}_{uuid.uuid4().hex[:8]}"


Seconds = Annotated[float, Field(gt=0, le=86_400)]


class OperatorSettings(BaseModel):
    """What an installation decides. Times are in seconds."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    trainer_image: Annotated[str, Field(min_length=1, max_length=512)]
    """Image of stages whose PaftJob names none."""

    namespaces: Annotated[tuple[str, ...], BeforeValidator(_split), Field(max_length=256)] = ()
    """Namespaces to serve, separated by commas. Default: all."""

    workers: Annotated[int, Field(ge=1, le=256)] = 16
    """PaftJobs that are reconciled at the same time. Default: 16."""

    progress_interval: Annotated[float, Field(ge=0, le=3600)] = 5.0
    """Shortest time between two writes of progress to one PaftJob; transitions are written at once. Default: 5."""

    first_retry_interval: Seconds = 10.0
    """Pause before a stage's second attempt; it doubles up to six minutes. Default: 10."""

    resync_interval: Seconds = 300.0
    """Time between two complete lists of all objects, which find what a watch has missed. Default: 300."""

    first_lists_deadline: Seconds = 120.0
    """Time after which the operator ends when it could not list all objects yet. Default: 120."""

    request_timeout: Seconds = 15.0
    """Longest wait for one answer of the API server. Default: 15."""

    retry_longest: Seconds = 60.0
    """Longest pause before a PaftJob that could not be reconciled is tried again. Default: 60."""

    leader_election: bool = True
    """Act only while holding the Lease. Off for a single operator outside a cluster. Default: true."""

    lease_name: Annotated[str, Field(min_length=1, max_length=63)] = "paft-operator"
    """Name of the Lease. Default: paft-operator."""

    lease_namespace: Annotated[str, Field(max_length=63)] = ""
    """Namespace of the Lease. Default: that of the credentials."""

    lease_duration: Seconds = 12.0
    """Time after its last renewal for which a Lease is respected by others. Default: 12."""

    lease_renew_deadline: Seconds = 8.0
    """Time after its last renewal after which the leader itself stops. Less than leaseDuration. Default: 8."""

    lease_retry_interval: Seconds = 2.0
    """Time between two tries to get or renew the Lease. Default: 2."""

    identity: Annotated[str, Field(min_length=1, max_length=253)] = Field(default_factory=_own_identity)
    """Name under which this process holds the Lease. Default: host name and a random text."""

    listen_address: str = "0.0.0.0"
    """Address of the endpoints /healthz, /readyz and /metrics. Default: 0.0.0.0."""

    listen_port: Annotated[int, Field(ge=0, le=65_535)] = 8080
    """Port of the endpoints; 0 takes a free one and logs it. Default: 8080."""

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    """Least severe level that is logged. Default: INFO."""

    @model_validator(mode="after")
    def _lease_times_are_in_order(self) -> Self:
        if not self.lease_retry_interval < self.lease_renew_deadline < self.lease_duration:
            raise ValueError(
                f"lease_retry_interval {self.lease_retry_interval}, lease_renew_deadline {self.lease_renew_deadline} "
                f"and lease_duration {self.lease_duration} must rise in this order"
            )
        return self


class SettingsInvalid(Exception):
    """Settings that cannot be used. `str()` is what a person should read."""


def read_settings(arguments: Sequence[str], environment: Mapping[str, str]) -> OperatorSettings:
    """Settings from flags and environment. Raises SettingsInvalid; `--help` prints and exits."""
    given: dict[str, Any] = {
        name: environment[variable_of(name)]
        for name in OperatorSettings.model_fields
        if variable_of(name) in environment
    }
    flags = vars(_parser().parse_args(arguments))
    given |= {name: value for name, value in flags.items() if value is not None}
    try:
        return OperatorSettings.model_validate(given)
    except ValidationError as error:
        raise SettingsInvalid("\n".join(_explain(finding, given) for finding in error.errors())) from error


def variable_of(field: str) -> str:
    """Environment variable of a field."""
    return ENVIRONMENT_PREFIX + field.upper()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m paft_operator", description="The PAFT operator.")
    for name, field in OperatorSettings.model_fields.items():
        parser.add_argument(f"--{name.replace('_', '-')}", dest=name, metavar="VALUE", help=field.description)
    return parser


def _explain(finding: Any, given: Mapping[str, Any]) -> str:
    name = str(finding["loc"][0]) if finding["loc"] else ""
    if not name:
        return str(finding["msg"])
    flag = f"--{name.replace('_', '-')} ({variable_of(name)})"
    return f"{flag}: {finding['msg']}" + (f", not {given[name]!r}" if name in given else "")
