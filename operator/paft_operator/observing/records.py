"""What is remembered of the objects of PaftJobs: as little as observation needs, since there are many."""

import zlib
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from paft_api.stages import StageName

STOPPED_AT = "paft.dev/stopped-at"
"""Annotation of a RunSpec ConfigMap: when its attempt was asked to stop."""


class JobKey(NamedTuple):
    """Which PaftJob."""

    namespace: str
    name: str


class AttemptKey(NamedTuple):
    """Which attempt of a PaftJob."""

    stage: StageName
    attempt: int


class Output(NamedTuple):
    """Where a PaftJob publishes: two jobs with the same one disturb each other."""

    endpoint: str
    uri: str


@dataclass(frozen=True, kw_only=True, slots=True)
class PaftJobRecord:
    """A PaftJob. `retry_token`: its annotation paft.dev/retry. `packed`: what the models read, see `document`."""

    namespace: str
    name: str
    uid: str
    version: int
    generation: int
    created_at: str
    is_deleting: bool
    has_ended: bool
    output: Output | None
    retry_token: str | None
    packed: bytes

    @property
    def document(self) -> bytes:
        """What the models read of it, as JSON."""
        return zlib.decompress(self.packed)

    @property
    def key(self) -> JobKey:
        """Its key."""
        return JobKey(self.namespace, self.name)


@dataclass(frozen=True, kw_only=True, slots=True)
class ChildRecord:
    """An object of one attempt. `owner_uid`: uid of its controller."""

    namespace: str
    name: str
    uid: str
    version: int
    owner_uid: str
    job_name: str
    stage: StageName
    attempt: int
    created_at: datetime

    @property
    def key(self) -> JobKey:
        """The PaftJob that its labels name."""
        return JobKey(self.namespace, self.job_name)

    @property
    def attempt_key(self) -> AttemptKey:
        """The attempt that its labels name."""
        return AttemptKey(self.stage, self.attempt)


class JobState(StrEnum):
    """How far a Job is."""

    ACTIVE = "Active"
    COMPLETE = "Complete"
    FAILED = "Failed"


@dataclass(frozen=True, kw_only=True, slots=True)
class JobRecord(ChildRecord):
    """A Job. `reason` and `message`: of the condition Failed. `pods`: how many run at once.

    `admitted_at`: since when no queue controller holds it back; None while one does.
    """

    state: JobState
    reason: str
    message: str
    finished_at: datetime | None
    admitted_at: datetime | None
    is_deleting: bool
    pods: int

    @property
    def is_active(self) -> bool:
        """Whether it has neither ended nor been asked to go."""
        return self.state is JobState.ACTIVE and not self.is_deleting


@dataclass(frozen=True, kw_only=True, slots=True)
class JobSetRecord(ChildRecord):
    """A JobSet. Its labels are those of the first of `attempts`, which are those of the arms that it runs.

    `pods`: how many of each run at once. `state`, `finished_at` and `admitted_at` as of a Job.
    """

    attempts: tuple[AttemptKey, ...]
    pods: tuple[int, ...]
    state: JobState
    finished_at: datetime | None
    admitted_at: datetime | None
    is_deleting: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class PodRecord(ChildRecord):
    """A Pod and its container of the stage. Texts are empty and instants None where there is nothing to tell.

    `scheduled_at`: when it got a place on a node. `unprepared_since`: since when its node has not given it its volumes
    and its network. `is_gone`: it is deleted, and what it last said is remembered.
    """

    phase: str
    reason: str
    message: str
    node: str
    gone_by: datetime | None
    waiting_reason: str
    waiting_message: str
    started_at: datetime | None
    terminated_at: datetime | None
    terminated_reason: str
    exit_code: int | None
    termination_message: str
    disruption_reason: str
    disruption_message: str
    unschedulable_message: str
    is_gated: bool
    scheduled_at: datetime | None = None
    unprepared_since: datetime | None = None
    is_gone: bool = False

    @property
    def tells_an_end(self) -> bool:
        """Whether it says how it ended, or why it had to."""
        return self.phase in ("Failed", "Succeeded") or bool(self.disruption_reason)


@dataclass(frozen=True, kw_only=True, slots=True)
class RunSpecRecord(ChildRecord):
    """The ConfigMap with an attempt's RunSpec. `stopped`: why it was asked to stop; None where it was not."""

    generation: int
    stage_digest: str | None
    stopped: str | None
    stopped_at: datetime | None


@dataclass(frozen=True, kw_only=True, slots=True)
class ReportRecord(ChildRecord):
    """The ConfigMap with an attempt's report. `text`: the report as it was written; empty before the first."""

    text: str


Record = PaftJobRecord | ChildRecord
