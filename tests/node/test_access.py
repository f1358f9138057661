"""What a pod's token may do: its own report, and nothing else."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from hack.control_plane.client import CONFIG_MAP, POD, SERVICE_ACCOUNT, KubernetesClient, Object
from hack.node.node import Node
from kubernetes.client.exceptions import ApiException
from tests.node.node_cluster import BASE, DATA, PAFT_JOB, SECRET, SECRET_NAME, NodeNamespace, small_job

pytestmark = [pytest.mark.node, pytest.mark.timeout(600)]

NAME = "tokens"
TOKEN = "/var/run/secrets/paft.dev/api-access/token"
MERGE_PATCH: Object = {"metadata": {"annotations": {"tried": "yes"}}}


@pytest.fixture
def pod_client(place: NodeNamespace, node: Node, tmp_path: Path) -> Iterator[KubernetesClient]:
    """With the token that a pod of the SFT arm has, while it trains."""
    place.create(small_job(place, NAME, BASE, DATA, nodes=1, steps=100_000))
    place.wait_for_step(NAME, "sft", 1)
    (pod,) = place.pods(NAME, "sft")
    token = place.kubectl("exec", pod["metadata"]["name"], "--", "cat", TOKEN)
    kubeconfig = yaml.safe_load(Path(node.kubeconfig).read_text(encoding="utf-8"))
    kubeconfig["users"][0]["user"] = {"token": token}
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(kubeconfig), encoding="utf-8")
    with KubernetesClient(path) as client:
        yield client


def test_a_pods_token_is_for_its_own_report(pod_client: KubernetesClient, place: NodeNamespace) -> None:
    own, other = f"{NAME}-sft-1-report", f"{NAME}-preference-1-report"
    assert pod_client.get(CONFIG_MAP, own, place.name)["metadata"]["name"] == own
    pod_client.patch(CONFIG_MAP, own, place.name, MERGE_PATCH)

    refused: dict[str, Callable[[], object]] = {
        "delete its report": lambda: pod_client.delete(CONFIG_MAP, own, place.name),
        "read another report": lambda: pod_client.get(CONFIG_MAP, other, place.name),
        "write another report": lambda: pod_client.patch(CONFIG_MAP, other, place.name, MERGE_PATCH),
        "read its RunSpec": lambda: pod_client.get(CONFIG_MAP, f"{NAME}-sft-1", place.name),
        "list reports": lambda: pod_client.list(CONFIG_MAP, place.name),
        "read the Secret": lambda: pod_client.get(SECRET, SECRET_NAME, place.name),
        "list pods": lambda: pod_client.list(POD, place.name),
        "read the PaftJob": lambda: pod_client.get(PAFT_JOB, NAME, place.name),
        "write the PaftJob": lambda: pod_client.patch(PAFT_JOB, NAME, place.name, MERGE_PATCH),
        "get a token": lambda: pod_client.post(SERVICE_ACCOUNT, "default", place.name, "token", {"spec": {}}),
    }
    assert {what: _status(call) for what, call in refused.items()} == dict.fromkeys(refused, 403)

    # It has not ended: deleting it takes all of it away.
    place.kubernetes.delete(PAFT_JOB, NAME, place.name)
    place.wait_until(lambda: place.children(NAME) == [], f"{NAME} leaves objects")
    assert place.objects(f"{place.prefix}artifacts/")


def _status(call: Callable[[], object]) -> int:
    try:
        call()
    except ApiException as error:
        return int(error.status)
    return 200
