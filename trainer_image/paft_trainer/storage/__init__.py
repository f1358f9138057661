"""Object storage behind one narrow Protocol: `s3://` and `file://`."""

from paft_trainer.storage.errors import (
    ObjectChanged,
    ObjectMissing,
    OperationUnsupported,
    PreconditionFailed,
    StorageAuth,
    StorageError,
    StorageUnavailable,
    UploadMissing,
)
from paft_trainer.storage.object_store import ObjectInfo, ObjectStore, ObjectWriter, UnfinishedUpload
from paft_trainer.storage.open_store import open_run_store, open_store

__all__ = [
    "ObjectChanged",
    "ObjectInfo",
    "ObjectMissing",
    "ObjectStore",
    "ObjectWriter",
    "OperationUnsupported",
    "PreconditionFailed",
    "StorageAuth",
    "StorageError",
    "StorageUnavailable",
    "UnfinishedUpload",
    "UploadMissing",
    "open_run_store",
    "open_store",
]
