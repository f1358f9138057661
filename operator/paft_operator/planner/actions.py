"""What a planner decides; an executor carries it out."""

from dataclasses import dataclass
from typing import Literal

from paft_api.run_spec import AdapterReference
from paft_api.stages import StageName
from paft_api.status import PaftJobStatus


@dataclass(frozen=True, kw_only=True, slots=True)
class StartAttempt:
    """Start an attempt. Starting one that exists already is a no-op, so a repeated plan does no harm.

    `reached_step`: highest step that earlier attempts at an arm told of. `sft_adapter` and `preference_adapter` are set
    for merge only.
    """

    stage: StageName
    attempt: int
    base_digest: str | None = None
    stage_digest: str | None = None
    reached_step: int = 0
    sft_adapter: AdapterReference | None = None
    preference_adapter: AdapterReference | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class StopAttempt:
    """Ask a running attempt to save and end (SIGTERM)."""

    stage: StageName
    attempt: int
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class DeleteChildren:
    """Delete every object of a job that has ended; the job itself, its artifacts and its output stay."""


Action = StartAttempt | StopAttempt | DeleteChildren


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """Something that happened once, for people."""

    type: Literal["Normal", "Warning"]
    reason: str
    message: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What should be done now, and what is so.

    `requeue_after`: seconds after which time alone changes the plan; None where only a change does.
    """

    status: PaftJobStatus
    actions: tuple[Action, ...] = ()
    events: tuple[Event, ...] = ()
    requeue_after: float | None = None
