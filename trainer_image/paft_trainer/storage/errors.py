"""What can go wrong with an object store.

StorageError (a StageError)
├── ObjectMissing         no such object or bucket            permanent, ConfigInvalid
├── ObjectChanged         its content is no longer the one that was looked at   permanent, ArtifactMismatch
├── PreconditionFailed    a conditional PUT found an object   an answer, not a fault: callers handle it
├── OperationUnsupported  the store cannot do this at all     permanent, ConfigInvalid
├── StorageAuth           refused: who we are, or our rights  permanent, StorageAuth
└── StorageUnavailable    no answer within storage.retryWindow   retryable, StorageUnavailable
    └── UploadMissing     a multipart upload is not known (any more)
"""

from typing import Self

from paft_api.causes import Cause
from paft_trainer.errors import StageError


class StorageError(StageError):
    """The root of this tree; not raised itself."""

    cause = Cause.STORAGE_UNAVAILABLE


class ObjectMissing(StorageError):
    """There is no object (or bucket) of this name."""

    cause = Cause.CONFIG_INVALID


class ObjectChanged(StorageError):
    """The object was written again while it was read."""

    cause = Cause.ARTIFACT_MISMATCH

    @classmethod
    def of(cls, uri: str, *, before: str, now: str | None) -> Self:
        """`before`, `now`: ETags; None for an object that is not there any more."""
        found = "it is gone" if now is None else f"its ETag is {now}"
        return cls(
            f"{uri} changed while it was read: its ETag was {before}, now {found}",
            remedy="Let nobody write there while a job reads, and start the job again.",
        )


class PreconditionFailed(StorageError):
    """A conditional PUT was refused because the object exists."""

    cause = Cause.ARTIFACT_MISMATCH


class OperationUnsupported(StorageError):
    """The store says that it does not implement what was asked for, such as conditional writes."""

    cause = Cause.CONFIG_INVALID


class StorageAuth(StorageError):
    """The store refused the credentials, or they lack a right."""

    cause = Cause.STORAGE_AUTH


class StorageUnavailable(StorageError):
    """The store did not answer properly for as long as `storage.retryWindow`."""

    cause = Cause.STORAGE_UNAVAILABLE


class UploadMissing(StorageUnavailable):
    """The store does not know this multipart upload: it was completed, aborted or has expired."""
