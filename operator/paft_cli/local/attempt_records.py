"""What is written down about the process of an attempt."""

from datetime import datetime
from typing import Annotated

from pydantic import Field

from paft_api.model import Model


class ProcessRecord(Model):
    """Which process an attempt's launcher is, or was."""

    pid: Annotated[int, Field(ge=1)]
    """Process id."""
    start_time: Annotated[int, Field(ge=0)]
    """Clock ticks from boot to its start: with `pid` it names one process only."""
    parent_pid: Annotated[int, Field(ge=1)]
    """The `paft run` that started it."""
    started_at: datetime
    """When."""


class StopRecord(Model):
    """The attempt was asked to save and end."""

    reason: str
    """Why."""
    requested_at: datetime
    """When."""


class ExitRecord(Model):
    """How an attempt's launcher ended."""

    code: Annotated[int, Field(ge=0, le=255)] | None = None
    """Exit code; unset where a signal ended it or nobody was there to see."""
    signal: Annotated[int, Field(ge=1)] | None = None
    """Number of the signal that ended it."""
    watched: bool
    """It ended before the `paft run` that had started it."""
    finished_at: datetime
    """When that was seen."""
