"""Where a merge reads and writes: files of this machine, or a real S3 server on loopback."""

import itertools
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from hack import seaweedfs

from paft_trainer.storage.file_store import uri_of

READ_BYTES = 16 * 1024 * 1024
BUCKET = "models"
FILES, S3 = "files", "S3"
"""Names of the places."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """Holds base, sft and preference under `models`. `artifacts`: of a job. `new_output`: a folder's URI for the length
    of a `with` block, after which it is gone. `warm`: to be called before a measurement."""

    name: str
    models: str
    artifacts: str
    new_output: Callable[[], AbstractContextManager[str]]
    warm: Callable[[], None]
    endpoint: str | None = None
    environment: Mapping[str, str] = field(default_factory=dict)


@contextmanager
def file_place(models: Path, folder: Path) -> Iterator[Place]:
    """Outputs go into `folder`, which must be on the disk that is to be measured."""
    numbers = itertools.count()

    @contextmanager
    def new_output() -> Iterator[str]:
        output = folder / f"output-{next(numbers)}"
        try:
            yield uri_of(output) + "/"
        finally:
            shutil.rmtree(output, ignore_errors=True)

    yield Place(
        name=FILES,
        models=uri_of(models) + "/",
        artifacts=uri_of(folder / "artifacts") + "/",
        new_output=new_output,
        warm=lambda: read_all(models),
    )


@contextmanager
def s3_place(models: Path, folder: Path) -> Iterator[Place]:
    """SeaweedFS with its data in `folder`. Every output has a bucket: only a bucket's end frees its bytes."""
    numbers = itertools.count()
    with seaweedfs.running(folder) as server, seaweedfs.s3_client(server) as client:

        @contextmanager
        def new_output() -> Iterator[str]:
            bucket = f"output-{next(numbers)}"
            client.create_bucket(Bucket=bucket)
            try:
                yield f"s3://{bucket}/merged/"
            finally:
                client.delete_bucket(Bucket=bucket)

        client.create_bucket(Bucket=BUCKET)
        for path in sorted(path for path in models.rglob("*") if path.is_file()):
            client.upload_file(str(path), BUCKET, str(path.relative_to(models)))
        yield Place(
            name=S3,
            models=f"s3://{BUCKET}/",
            artifacts=f"s3://{BUCKET}/artifacts/",
            new_output=new_output,
            warm=lambda: read_all(folder / "data"),
            endpoint=server.endpoint,
            environment=server.environment,
        )


def read_all(folder: Path) -> None:
    """Read every file, so that it is in the page cache, and let the disk finish what it has to write."""
    os.sync()
    buffer = bytearray(READ_BYTES)
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb", buffering=0) as file:
                while file.readinto(buffer):
                    pass
