"""What can go wrong with an object store.

StorageError (a StageError)
├── ObjectMissing         no such object or bucket            permanent, ConfigInvalid
├── PreconditionFailed    a conditional PUT found an object   an answer, not a fault: callers handle it
├── OperationUnsupported  the store cannot do this at all     permanent, ConfigInvalid
├── StorageAuth           refused: who we are, or our rights  permanent, StorageAuth
└── StorageUnavailable    no answer within storage.retryWindow   retryable, StorageUnavailable
    └── UploadMissing     a multipart upload is not known (any more)
"""

from paft_api.causes import Cause
from paft_trainer.errors import StageError


class StorageError(StageError):
    """The root of this tree; not raised itself."""

    cause = Cause.STORAGE_UNAVAILABLE


class ObjectMissing(StorageError):
    """There is no object (or bucket) of this name."""

    cause = Cause.CONFIG_INVALID


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
