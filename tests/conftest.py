"""Fixtures that all tests share: a real S3 server and a real Kubernetes API, started when the first test needs them."""

import signal
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from hack import seaweedfs
from hypothesis import settings
from tests.control_plane import control_plane, kubelet, kubernetes, namespace, pytest_collection_finish

from paft_api.spec.storage import StorageSpec

__all__ = ["control_plane", "kubelet", "kubernetes", "namespace", "pytest_collection_finish"]

settings.register_profile("default", deadline=None, derandomize=True)
settings.register_profile("campaign", deadline=None, max_examples=2_000)
settings.load_profile("default")

sys.dont_write_bytecode = True

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell has it ignored in what it starts in the background, and the processes of tests would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)

BUCKET = "paft-tests"
READER = "reader"
READER_BUCKET = "paft-tests-shared"
"""All that a second user of the server may read."""


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[seaweedfs.S3Server]:
    """SeaweedFS on loopback, with credentials, two buckets, and a user who may read one of them."""
    users = {READER: [f"Read:{READER_BUCKET}", f"List:{READER_BUCKET}"]}
    with seaweedfs.running(tmp_path_factory.mktemp("seaweedfs"), users=users) as server:
        seaweedfs.create_bucket(server, BUCKET)
        seaweedfs.create_bucket(server, READER_BUCKET)
        yield server


@pytest.fixture
def s3(s3_server: seaweedfs.S3Server, monkeypatch: pytest.MonkeyPatch) -> StorageSpec:
    """Storage under a prefix of its own; credentials are in the environment."""
    for name, value in s3_server.environment.items():
        monkeypatch.setenv(name, value)
    prefix = f"s3://{BUCKET}/{uuid.uuid4().hex[:12]}/"
    return StorageSpec(artifacts_uri=f"{prefix}artifacts/", endpoint=s3_server.endpoint, retry_window=20)


@pytest.fixture
def local_storage(tmp_path: Path) -> StorageSpec:
    """Storage in a temporary folder."""
    return StorageSpec(artifacts_uri=f"file://{tmp_path}/artifacts/")


@pytest.fixture(params=["file", "s3"])
def storage(request: pytest.FixtureRequest) -> StorageSpec:
    """Both kinds of storage in turn."""
    name = "local_storage" if request.param == "file" else "s3"
    spec: StorageSpec = request.getfixturevalue(name)
    return spec
