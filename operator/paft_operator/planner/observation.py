"""What a planner sees of the world: attempts, as some executor observed them, and where arms could run."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from paft_api.report import Failure, StageReport
from paft_api.run_spec import World
from paft_api.stages import StageName


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
    classified from exit code, termination message and report. Instants are timezone-aware.
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


@dataclass(frozen=True, kw_only=True, slots=True)
class Observed:
    """All attempts of one job that are still known, in any order, and the processes each arm would get here."""

    attempts: tuple[AttemptObservation, ...] = ()
    worlds: Mapping[StageName, World] = field(default_factory=dict)
