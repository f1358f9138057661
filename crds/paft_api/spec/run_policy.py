"""spec.runPolicy: how long and how often to try."""

from typing import Annotated

from pydantic import Field

from paft_api.model import Model

Seconds = Annotated[int, Field(ge=1, le=31_536_000)]


class RunPolicy(Model):
    """Limits of the whole job."""

    suspend: bool = False
    """Stop the arms after they saved, and wait. Default: false."""

    backoff_limit: Annotated[int, Field(ge=0, le=100)] = 3
    """Failed attempts of one stage after which the job fails: attempts in all are one more. Default: 3."""

    active_deadline_seconds: Seconds | None = None
    """Seconds of running after which the job fails. Default: no limit."""

    pending_deadline_seconds: Seconds | None = None
    """Seconds from admission until all pods run. Default: no limit; of no effect in `paft run`."""

    ttl_seconds_after_finished: Annotated[int, Field(ge=0, le=31_536_000)] | None = None
    """Seconds after which a finished job's children are deleted. Default: never; of no effect in `paft run`."""
