"""What a planner sees of the world: attempts, as some executor observed them, and where arms could run."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from paft_api.report import Failure, StageReport
from paft_api.run_spec import World
from paft_api.stages import StageName


class QueueReason(NamedTuple):
    """Why a queue holds an attempt back, in its own words; `reason` is CamelCase or empty."""

    reason: str
    message: str


class AttemptState(StrEnum):
    """State of one attempt's processes. `SUCCEEDED` says that they exited 0, which is not yet a result."""

    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    STOPPED = "Stopped"
    FAILED = "Failed"


@dataclass(frozen=True, kw_only=True, slots=True)
class AttemptObservation:
    """One attempt of one stage.

    `stage_digest`: what it was started for; None for prepare. `stopping`: it was asked to stop and still runs.
    `report`: the newest readable report with this attempt's identity. `failure`: set exactly in state FAILED,
    classified from exit code, termination message and report. `admitted_at`: since when it need not wait in a queue;
    None while it does, and `queue_reason` may then say why. `scheduled_at`: when the last of its pods got a place on a
    node. `running_since`: since when all its processes have been
    running, or were before it ended; None before that, and `pending` then says why, where that is known. Instants are
    timezone-aware.
    """

    stage: StageName
    attempt: int
    generation: int
    stage_digest: str | None
    state: AttemptState
    started_at: datetime
    finished_at: datetime | None = None
    stopping: bool = False
    report: StageReport | None = None
    failure: Failure | None = None
    admitted_at: datetime | None = None
    queue_reason: QueueReason | None = None
    scheduled_at: datetime | None = None
    running_since: datetime | None = None
    pending: Failure | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Observed:
    """All attempts of one job that are still known, in any order, and the processes each arm would get here.

    `has_children`: objects of this job are there that can be deleted once it has ended. `retry_token`: the newest wish
    to try again what has failed. `output_in_use_by`: an older job that has not ended and publishes to the same output.
    `arms_start_together`: both arms, or what is left of them, get their places at once or not at all.
    """

    attempts: tuple[AttemptObservation, ...] = ()
    worlds: Mapping[StageName, World] = field(default_factory=dict)
    has_children: bool = False
    retry_token: str | None = None
    output_in_use_by: str | None = None
    arms_start_together: bool = False
