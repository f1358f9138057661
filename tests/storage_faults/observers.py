"""What an observer sees of a place, with a store and a client of its own."""

from collections.abc import Iterator, Mapping
from typing import Any

from tests.storage_faults.places import BUCKET, Place, objects, source_uri

from paft_api.layout import ADAPTER_MANIFEST_FILE, CHECKPOINT_MANIFEST_FILE, MERGE_MANIFEST_FILE
from paft_trainer.storage import ObjectStore
from paft_trainer.training.checkpoints.checkpoint import list_checkpoints, load_checkpoint
from paft_trainer.verification import verify


class Observer:
    """`store`: past any proxy. `client`: of boto3."""

    def __init__(self, store: ObjectStore, place: Place, client: Any) -> None:
        self._store = store
        self._place = place
        self._client = client

    def objects(self) -> dict[str, bytes]:
        """All objects but what a killed process leaves and nobody reads: halves of removed checkpoints."""
        found = objects(self._client, self._place.folder)
        return {name: body for name, body in found.items() if not _is_half_removed(name, found)}

    def untrue_manifests(self) -> Iterator[str]:
        """What can be seen to be wrong at once."""
        for info in list(self._store.list(self._place.uri)):
            folder, _, name = info.uri.rpartition("/")
            if name in (MERGE_MANIFEST_FILE, ADAPTER_MANIFEST_FILE):
                found = verify(self._store, f"{folder}/", artifacts_uri=self._place.storage.artifacts_uri)
                yield from (f"{one.file}: {one.message}" for part in found.folders for one in part.problems)
        for saved in list_checkpoints(self._store, self._place.uri):
            if load_checkpoint(self._store, saved) is None:
                yield f"{saved.folder} is not what its manifest says"

    def trusted_index(self) -> Iterator[str]:
        """Whether a wrong index is believed; it is removed, as those do whom verification tells of it."""
        folder = f"{self._place.storage.artifacts_uri}index/"
        if verify(self._store, source_uri("base"), artifacts_uri=self._place.storage.artifacts_uri).is_sound:
            yield "nobody can tell that the index is wrong"
        for info in list(self._store.list(folder)):
            self._store.delete(info.uri)

    def uploads(self) -> list[str]:
        """Keys of unfinished uploads, as the server itself tells."""
        found = self._client.list_multipart_uploads(Bucket=BUCKET, Prefix=self._place.folder).get("Uploads", ())
        return [upload["Key"] for upload in found]

    def abort_uploads(self) -> None:
        """By the store, as cleaning up does."""
        for upload in list(self._store.unfinished_uploads(self._place.uri)):
            self._store.abort_upload(upload)


def differences(found: Mapping[str, bytes], expected: Mapping[str, bytes]) -> Iterator[str]:
    """Objects that are not as they should be."""
    for name in sorted(expected.keys() | found.keys()):
        if found.get(name) != expected.get(name):
            yield f"{name} is {'missing' if name not in found else 'another' if name in expected else 'too much'}"


def _is_half_removed(name: str, found: Mapping[str, bytes]) -> bool:
    """Whether it lies in the folder of a checkpoint without a manifest."""
    folder = name.rpartition("/")[0]
    return "/checkpoints/" in name and f"{folder}/{CHECKPOINT_MANIFEST_FILE}" not in found
