"""Goodput: where the seconds of a stage went. Each belongs to exactly one part."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field

from paft_api.model import Model

Seconds = Annotated[float, Field(ge=0)]
WholeSeconds = Annotated[int, Field(ge=0)]


class TimePart(StrEnum):
    """What a second of a stage may go to, in the order in which they come first; the names of fields below."""

    QUEUE = "queue"
    IMAGE = "image"
    LOAD = "load"
    COMPILE = "compile"
    TRAIN = "train"
    EVALUATE = "evaluate"
    SAVE = "save"
    REDO = "redo"
    WAIT_FOR_STORAGE = "wait_for_storage"


class AttemptTime(Model):
    """Seconds of an attempt from the start of its launcher to its report, as rank 0 sees them."""

    load: Seconds = 0.0
    """Before the first step: starting, reading, DPO's reference; also looking at what a merge reads."""
    compile: Seconds = 0.0
    """Compiling by torch.compile or Numba that work waited for."""
    train: Seconds = 0.0
    """Work done for the first time: optimizer steps, checks of prepare, tensors of a merge."""
    evaluate: Seconds = 0.0
    """Evaluation, and measuring the adapter."""
    save: Seconds = 0.0
    """Work that stood still for a checkpoint; publishing."""
    redo: Seconds = 0.0
    """Steps that an earlier attempt had told of, and work of an attempt that failed since its last report."""
    wait_for_storage: Seconds = 0.0
    """Nothing got on because the object store did not answer."""

    @property
    def parts(self) -> dict[TimePart, float]:
        """Seconds by part."""
        return {part: getattr(self, part) for part in TimePart if part in type(self).model_fields}

    @property
    def total(self) -> float:
        """Seconds in all."""
        return sum(self.parts.values())


class StageTime(Model):
    """Whole seconds of a stage over all its attempts, and between them. All parts together are `until` - `since`."""

    since: datetime
    """When the stage could have begun: what it needs was there."""
    until: datetime
    """Up to when its seconds are counted."""
    attempt: WholeSeconds = 0
    """Number of the newest attempt that is counted."""
    queue: WholeSeconds = 0
    """No place yet: a queue, the scheduler, the other arm's GPUs, a pause between attempts, suspension."""
    image: WholeSeconds = 0
    """From the last pod's place on a node to the first container: pulling images, mounting volumes."""
    load: WholeSeconds = 0
    """Before the first step: starting, reading, DPO's reference; also looking at what a merge reads."""
    compile: WholeSeconds = 0
    """Compiling by torch.compile or Numba that work waited for."""
    train: WholeSeconds = 0
    """Work done for the first time: optimizer steps, checks of prepare, tensors of a merge."""
    evaluate: WholeSeconds = 0
    """Evaluation, and measuring the adapter."""
    save: WholeSeconds = 0
    """Work that stood still for a checkpoint; publishing; the end of the processes."""
    redo: WholeSeconds = 0
    """Steps that an earlier attempt had told of, and work of an attempt that failed since its last report."""
    wait_for_storage: WholeSeconds = 0
    """Nothing got on because the object store did not answer."""

    @property
    def parts(self) -> dict[TimePart, int]:
        """Seconds by part."""
        return {part: getattr(self, part) for part in TimePart}

    @property
    def total(self) -> int:
        """Seconds in all."""
        return sum(self.parts.values())

    @property
    def goodput(self) -> str | None:
        """Share of `train` in all seconds, such as `87%`; None before there are any."""
        return f"{self.train / self.total:.0%}" if self.total else None

    def plus(self, spent: Mapping[TimePart, float], *, until: datetime, attempt: int) -> Self:
        """The same up to a later instant. `spent`: weights by which the seconds since `self.until` are shared out;
        of none, all go to `queue`."""
        until = max(until, self.until)
        more = round((until - self.since).total_seconds()) - self.total
        shares = _shared_out(more, spent if sum(spent.values()) > 0 else {TimePart.QUEUE: 1.0})
        added = {part.value: seconds + shares.get(part, 0) for part, seconds in self.parts.items()}
        return self.model_copy(update=added | {"until": until, "attempt": attempt})


def _shared_out(whole: int, weights: Mapping[TimePart, float]) -> dict[TimePart, int]:
    """A whole number in proportion to weights, without a remainder (method of the largest remainders)."""
    total = sum(weights.values())
    exact = {part: whole * weight / total for part, weight in weights.items()}
    shares = {part: int(value) for part, value in exact.items()}
    by_remainder = sorted(exact, key=lambda part: exact[part] - shares[part], reverse=True)
    for part in by_remainder[: whole - sum(shares.values())]:
        shares[part] += 1
    return shares
