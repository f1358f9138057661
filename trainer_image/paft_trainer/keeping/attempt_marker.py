"""The marker of an attempt: the first object that it writes, and the proof that what lies beside it is ours."""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Literal, Self

from pydantic import ValidationError

from paft_api.layout import attempt_name
from paft_api.model import Model
from paft_api.run_spec import StageIdentity
from paft_api.spec.training import KeepSpec
from paft_trainer.storage import ObjectMissing, ObjectStore


class AttemptEnd(StrEnum):
    """How an attempt was over."""

    SUCCEEDED = "Succeeded"
    STOPPED = "Stopped"
    FAILED = "Failed"
    LOST = "Lost"
    """It wrote no end itself; the next attempt of its job did."""


class AttemptMarker(Model):
    """Content of `paft_attempt.json`, and of the markers of prepare and of merges."""

    format_version: Literal[1] = 1
    """Version of this format."""
    identity: StageIdentity
    """Which attempt of which job."""
    started_at: datetime
    """When it began, UTC, by the clock of its machine."""
    ended: AttemptEnd | None = None
    """How it was over; unset while it runs, and after a kill until the next attempt begins."""
    ended_at: datetime | None = None
    """When that was written."""
    in_cluster: bool = False
    """Whether a pod wrote it, so that a cluster knows what became of its job."""
    keep: KeepSpec | None = None
    """training.keep of an arm."""
    writes: tuple[str, ...] = ()
    """Of a merge: files that may be streamed, by their names in the output folder and in those of candidates. Of
    prepare: addresses of its probes."""

    @classmethod
    def begin(
        cls,
        identity: StageIdentity,
        *,
        in_cluster: bool = False,
        keep: KeepSpec | None = None,
        writes: tuple[str, ...] = (),
    ) -> Self:
        """The marker of an attempt that begins now."""
        return cls(identity=identity, started_at=datetime.now(UTC), in_cluster=in_cluster, keep=keep, writes=writes)

    def end(self, ended: AttemptEnd) -> "AttemptMarker":
        """The same, now that it is over."""
        return self.model_copy(update={"ended": ended, "ended_at": datetime.now(UTC)})

    @property
    def wrote_its_end(self) -> bool:
        """Whether the attempt itself said that it is over, and not another."""
        return self.ended not in (None, AttemptEnd.LOST)

    @property
    def name(self) -> str:
        """Name of the only attempt that this marker can speak for: in a copy elsewhere it proves nothing."""
        return attempt_name(self.identity.job_uid, self.identity.attempt)


def write_marker(store: ObjectStore, uri: str, marker: AttemptMarker) -> None:
    """Put a marker, in the place of an earlier one."""
    store.put(uri, marker.to_json().encode())


def read_marker(store: ObjectStore, uri: str, name: str) -> AttemptMarker | None:
    """The marker of the attempt of this name; None where there is none, or none of this version and this attempt."""
    try:
        marker = AttemptMarker.model_validate_json(store.read(uri))
    except (ObjectMissing, ValidationError):
        return None
    return marker if marker.name == name else None
