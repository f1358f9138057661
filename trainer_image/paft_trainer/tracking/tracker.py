"""The seam between a stage and a tracker."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

from paft_api.run_spec import StageIdentity


class RunEnd(StrEnum):
    """How a stage ended, for its run."""

    FINISHED = "finished"
    STOPPED = "stopped"
    """It goes on in a later attempt."""
    FAILED = "failed"


@dataclass(frozen=True, kw_only=True, slots=True)
class TrackedRun:
    """One attempt at one stage, as trackers see it. All attempts at a stage are one run.

    `folder`: on this machine, for the tracker's own files. `first_step`: the step after which the attempt goes on.
    `configuration`: what the stage does, as a document.
    """

    identity: StageIdentity
    folder: Path
    first_step: int
    configuration: Mapping[str, Any]

    @property
    def group(self) -> str:
        """What the runs of one job have in common."""
        return f"{self.identity.job_name}-{self.identity.job_uid}"

    @property
    def name(self) -> str:
        """Of the run, for people."""
        return f"{self.identity.job_name}-{self.identity.stage}"


class Tracker(Protocol):
    """Takes numbers; called on one rank only."""

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Numbers by name, after optimizer step number `step`."""

    def flush(self) -> None:
        """Have all that was logged in the files of its folder, where it has any."""

    def end(self, end: RunEnd) -> None:
        """The last call."""
