"""Finishing a publication that a claim has begun, while others do the same and clean up."""

import json

import pytest
from tests.paft_trainer.keeping.stored_attempts import adapter_files, folder_of, publish, stage_of

from paft_api.layout import ADAPTER_MANIFEST_FILE, CLAIM_FILE
from paft_api.spec.storage import StorageSpec
from paft_trainer.errors import ArtifactMismatch
from paft_trainer.published_adapters import finish_publication, make_claim
from paft_trainer.storage.file_store import FileStore


def claim_of(storage: StorageSpec) -> dict[str, object]:
    manifest = adapter_files()[ADAPTER_MANIFEST_FILE]
    claim = make_claim(f"{folder_of(storage, 1)}adapter/", manifest)
    FileStore().put(stage_of(storage) + CLAIM_FILE, json.dumps(claim).encode())
    return claim


def test_files_that_are_gone_do_not_matter_once_somebody_else_has_finished(local_storage: StorageSpec) -> None:
    claim = claim_of(local_storage)

    class Racing(FileStore):
        """Somebody publishes, and a clean-up removes the source, right after the look for a manifest."""

        def read(self, uri: str) -> bytes:
            if uri.startswith(str(claim["source"])):
                publish(FileStore(), local_storage)
            return super().read(uri)

    published = finish_publication(Racing(), stage_of(local_storage), claim)
    assert published.adopted
    assert published.artifact.uri == stage_of(local_storage)


def test_files_that_are_gone_are_told_where_nobody_has(local_storage: StorageSpec) -> None:
    with pytest.raises(ArtifactMismatch, match="is claimed for files that are gone"):
        finish_publication(FileStore(), stage_of(local_storage), claim_of(local_storage))
