"""Where trials happen: inputs that all of them read, a folder for each, and stores with little patience."""

import time
from dataclasses import dataclass
from pathlib import Path

import boto3
from hack import seaweedfs
from tests.storage_faults.sources import write_sources

from paft_api.spec.storage import StorageSpec
from paft_trainer.base.index import index_base
from paft_trainer.storage import ObjectStore
from paft_trainer.storage.dispatching_store import DispatchingStore
from paft_trainer.storage.retries import RetryPolicy
from paft_trainer.storage.s3_connection import S3Connection
from paft_trainer.storage.s3_store import S3Store
from paft_trainer.storage.stalls import Patience

BUCKET = "faults"
PART_BYTES = 5 * 1024 * 1024
"""The least that S3 takes, so that small objects have several parts."""

WINDOW_SECONDS = 20
LONGEST_PAUSE_SECONDS = 0.02
"""Between two tries of a call: trials are many."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """One trial's. `endpoint`: of the proxy. `folder`: its own, ends in `/`. `silence_seconds`: after which a client
    gives a connection up. `base_digest`: of the base among the inputs, as a job that was prepared knows it."""

    endpoint: str
    folder: str
    silence_seconds: float = 5.0
    base_digest: str | None = None

    @property
    def uri(self) -> str:
        """Address of its folder."""
        return f"s3://{BUCKET}/{self.folder}"

    @property
    def storage(self) -> StorageSpec:
        """As a job has it."""
        return StorageSpec(artifacts_uri=f"{self.uri}artifacts/", endpoint=self.endpoint, retry_window=WINDOW_SECONDS)

    def open_store(self) -> ObjectStore:
        """A store of its own, with credentials from the environment."""
        retries = RetryPolicy(window_seconds=WINDOW_SECONDS, sleep=lambda seconds: time.sleep(_shortened(seconds)))
        patience = Patience(silence_seconds=self.silence_seconds, answer_seconds=self.silence_seconds)
        connection = S3Connection(endpoint=self.endpoint)
        store = S3Store(connection, retries=retries, part_bytes=PART_BYTES, patience=patience)
        return DispatchingStore({"s3": store})


def source_uri(name: str) -> str:
    """Address of one of the inputs: base, sft, preference, small/…, and artifacts with the base's index."""
    return f"s3://{BUCKET}/sources/{name}/"


def upload_sources(server: seaweedfs.S3Server, directory: Path) -> str:
    """Make the inputs and put them into the bucket; the digest of the base among them."""
    write_sources(directory)
    seaweedfs.create_bucket(server, BUCKET)
    with seaweedfs.s3_client(server) as client:
        for path in sorted(directory.rglob("*")):
            if path.is_file():
                client.upload_file(str(path), BUCKET, f"sources/{path.relative_to(directory)}")
    store = Place(endpoint=server.endpoint, folder="").open_store()
    return index_base(store, source_uri("base"), source_uri("artifacts")).digest


def objects(client: "boto3.client", folder: str) -> dict[str, bytes]:
    """All that lies in a folder, by name; the folder's own name in it is replaced by a dot."""
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=folder)
    keys = [entry["Key"] for page in pages for entry in page.get("Contents", ())]
    found = {key: client.get_object(Bucket=BUCKET, Key=key)["Body"].read() for key in keys}
    return {key.removeprefix(folder): content.replace(folder.encode(), b"./") for key, content in sorted(found.items())}


def _shortened(seconds: float) -> float:
    return min(seconds, LONGEST_PAUSE_SECONDS)
