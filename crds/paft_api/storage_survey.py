"""What `paft storage` is asked, and what it finds: whose the objects of a job's folders are, and which can go."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from pydantic import Field, StringConstraints

from paft_api.model import Digest, FolderUri, Model
from paft_api.spec.storage import StorageSpec
from paft_api.stages import StageName

Count = Annotated[int, Field(ge=0)]


class EndedAttempts(Model):
    """Attempts that somebody who can tell says are over."""

    job_uid: Annotated[str, StringConstraints(min_length=1, max_length=64)]
    """metadata.uid of their job."""
    stage: StageName | None = None
    """Of this stage only. Default: of all."""
    attempt: Annotated[int, Field(ge=1)] | None = None
    """This one only. Default: all."""
    why: Annotated[str, StringConstraints(max_length=256)]
    """How it is known."""

    def tell_of(self, job_uid: str, stage: StageName, attempt: int) -> bool:
        """Whether an attempt is among them."""
        return job_uid == self.job_uid and self.stage in (None, stage) and self.attempt in (None, attempt)


class SurveyRequest(Model):
    """What is to be looked at."""

    storage: StorageSpec
    """How the store is reached; `artifactsUri` is looked at where `artifacts` says so."""
    artifacts: bool = True
    """Whether `storage.artifactsUri` is looked at."""
    outputs: tuple[FolderUri, ...] = ()
    """Output folders of merges."""
    ended: tuple[EndedAttempts, ...] = ()
    """Attempts that are over, besides those whose end storage itself proves."""
    index: bool = False
    """Whether digests of bases and data that are kept are to go, too."""


class ItemKind(StrEnum):
    """What a thing in storage is."""

    UPLOAD = "Upload"
    """A streamed write that was begun and not ended; for files, a temporary one."""
    TORN_CHECKPOINT = "TornCheckpoint"
    """A checkpoint without its manifest, or without files that the manifest lists."""
    CHECKPOINT = "Checkpoint"
    """A complete one."""
    ADAPTER_COPY = "AdapterCopy"
    """What an attempt wrote of its adapter before it was published."""
    SHARD_RECORD = "ShardRecord"
    """What a merge remembers of a shard until it is finished."""
    PROBE = "Probe"
    """With which prepare tried out its rights."""
    MARKER = "Marker"
    """The marker of an attempt."""
    ATTEMPT = "Attempt"
    """A whole attempt of which nothing can be said but that it stays."""
    INDEX = "Index"
    """Digests of a base or of data that were read once."""


class StorageItem(Model):
    """One thing, and what is to become of it."""

    kind: ItemKind
    """What it is."""
    uri: str
    """Folder, or object."""
    upload_id: str | None = None
    """The store's name of an upload."""
    bytes: Count | None = None
    """Size; unset for uploads, of which stores do not tell it."""
    remove: bool
    """Whether it can go."""
    why: str
    """The proof, or what is missing for one."""


class FolderState(StrEnum):
    """How far the work of a folder is."""

    FINISHED = "Finished"
    """Its manifest is there, and all that it lists."""
    IN_PROGRESS = "InProgress"
    """An attempt is not proven to be over."""
    ABANDONED = "Abandoned"
    """All attempts are over, and there is no result; a job with the same stage digest goes on from what is there."""
    UNKNOWN = "Unknown"
    """No attempt has a marker."""


class SurveyedAttempt(Model):
    """One attempt at the work of a folder."""

    name: str
    """Its folder's name, `<job uid>-<attempt>`."""
    job: str | None = None
    """`<namespace>/<name>` of its job; unset without a marker."""
    in_cluster: bool = False
    """Whether it ran in a pod."""
    started_at: datetime | None = None
    """When it began; unset without a marker."""
    over: str | None = None
    """How it is proven to be over; unset where it is not."""


class SurveyedFolder(Model):
    """A stage's folder under artifactsUri, or an output; for prepare artifactsUri itself."""

    uri: FolderUri
    """Where it is."""
    stage: StageName
    """merge for an output."""
    digest: Digest | None = None
    """Stage digest, or the recipe digest of an output."""
    state: FolderState
    """How far its work is."""
    attempts: tuple[SurveyedAttempt, ...]
    """Those that have left something."""
    checkpoints: Count
    """Complete ones."""
    bytes: Count
    """Of all objects in it."""
    uploads: Count
    """Streamed writes that have not ended."""
    started_at: datetime | None = None
    """When its newest attempt began."""


class StorageSurvey(Model):
    """All that was found."""

    folders: tuple[SurveyedFolder, ...]
    """By stage and digest, then outputs."""
    index_entries: Count
    """Digests of bases and data that are kept."""
    index_bytes: Count
    """Their size."""
    items: tuple[StorageItem, ...]
    """Single things, in the order in which they would be removed; what belongs to a result is none."""


class CleanUp(Model):
    """What was removed."""

    removed: tuple[StorageItem, ...]
    """What is gone."""
    kept: tuple[StorageItem, ...]
    """What stays."""
    bytes: Count
    """Bytes that are free now, without those of uploads."""
