"""What tests on the node share: an S3 server that pods reach, the operator from its image, a base and its data.

They run inside the node's namespaces: `make e2e`, or `python -m hack.node run -- python -m pytest -m node`.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hack import seaweedfs
from hack.control_plane.client import NAMESPACE, KubernetesClient
from hack.control_plane.programs import find_or_build
from hack.node.node import Node
from hack.node.supervisor import RECORD_VARIABLE
from hack.seaweedfs import S3Server, s3_client
from tests.helm.helm_program import CHART, RELEASE, Helm
from tests.helm.helm_program import NAMESPACE as OPERATOR_NAMESPACE
from tests.node.long_jobs import adapters_of, start_long_job
from tests.node.node_cluster import BUCKET, NodeNamespace
from tests.run_specs import write_sums
from tests.tiny_models import build_checkpoint

S3_PORT = 8333


@pytest.fixture(scope="session")
def node() -> Node:
    """The node that this process runs in."""
    record = os.environ.get(RECORD_VARIABLE)
    if record is None:
        pytest.fail("these tests run inside a node: make e2e")
    return Node.read(Path(record))


@pytest.fixture(scope="session")
def kubernetes(node: Node) -> Iterator[KubernetesClient]:
    """The administrator's client."""
    with KubernetesClient(Path(node.kubeconfig)) as client:
        yield client


@pytest.fixture(scope="session")
def s3_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of the S3 server, which a test may stop and start again."""
    return tmp_path_factory.mktemp("seaweedfs")


@pytest.fixture(scope="session")
def s3_server(node: Node, s3_folder: Path) -> Iterator[S3Server]:
    """SeaweedFS where pods reach it, with a base and data."""
    with seaweedfs.running(s3_folder, port=S3_PORT, address=node.address) as server:
        seaweedfs.create_bucket(server, BUCKET)
        _fill(server, s3_folder / "uploads")
        yield server


@pytest.fixture(scope="session")
def operator(node: Node, kubernetes: KubernetesClient, tmp_path_factory: pytest.TempPathFactory) -> Helm:
    """The chart, installed as its users do it, with the image that was built here."""
    program = find_or_build(["helm"])["helm"]
    helm = Helm(program=program, home=tmp_path_factory.mktemp("helm"), kubeconfig=Path(node.kubeconfig))
    if kubernetes.find(NAMESPACE, OPERATOR_NAMESPACE) is None:
        options = ["--namespace", OPERATOR_NAMESPACE, "--create-namespace", "--wait", "--timeout", "120s"]
        helm.run("install", RELEASE, str(CHART), *options, "--set", "imageRegistry=localhost")
    return helm


@pytest.fixture(scope="module")
def place(operator: Helm, kubernetes: KubernetesClient, s3_server: S3Server) -> NodeNamespace:
    """A namespace for the tests of one file; it stays for whoever looks around afterwards."""
    made = NodeNamespace(kubernetes=kubernetes, s3=s3_server)
    made.set_up()
    return made


@pytest.fixture(scope="session")
def unbroken(operator: Helm, kubernetes: KubernetesClient, s3_server: S3Server) -> dict[str, bytes]:
    """Both adapters of a long job that nothing happens to."""
    place = NodeNamespace(kubernetes=kubernetes, s3=s3_server)
    place.set_up()
    start_long_job(place, "unbroken")
    return adapters_of(place, "unbroken", attempts={"sft": 1, "preference": 1})


def _fill(server: S3Server, folder: Path) -> None:
    base, data = folder / "base", folder / "data"
    data.mkdir(parents=True)
    build_checkpoint(base, "llama")
    write_sums(data)
    with s3_client(server) as client:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                client.upload_file(str(path), BUCKET, str(path.relative_to(folder)))
