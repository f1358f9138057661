"""What clusters do to a running job: each time the end is that of an unbroken run."""

import random
import subprocess
import time
from pathlib import Path

import pytest
from hack import seaweedfs
from hack.control_plane.client import JOB, NODE, POD, Object
from hack.node.node import Node
from hack.node.places import NODE_NAME
from hack.seaweedfs import S3Server
from tests.helm.helm_program import NAMESPACE as OPERATOR_NAMESPACE
from tests.node.conftest import S3_PORT
from tests.node.long_jobs import SAVED, adapters_of, start_long_job
from tests.node.node_cluster import PAFT_JOB, NodeNamespace, stage

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1200)]

OPERATOR_KILLS = 10


@pytest.mark.parametrize("how", ["deleted", "evicted"])
def test_the_arm_of_a_lost_pod_goes_on_from_its_checkpoint(
    place: NodeNamespace, unbroken: dict[str, bytes], how: str
) -> None:
    name, arm = f"pod-{how}", {"deleted": "sft", "evicted": "preference"}[how]
    start_long_job(place, name)
    place.wait_for_step(name, arm, SAVED)
    (pod,) = (one["metadata"]["name"] for one in place.pods(name, arm) if one["spec"]["hostname"].endswith("-1-1"))
    if how == "deleted":
        place.kubernetes.delete(POD, pod, place.name)
    else:
        eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod, "namespace": place.name}}
        place.kubernetes.post(POD, pod, place.name, "eviction", eviction)

    other = {"sft": "preference", "preference": "sft"}[arm]
    assert adapters_of(place, name, attempts={arm: 2, other: 1}) == unbroken
    entry = stage(place.get(name)["status"], arm)
    assert entry["failures"] == 0
    assert f"{arm} attempt 1" in place.kubectl("describe", "paftjob", name)


def test_an_s3_server_that_is_away_for_30_seconds_is_waited_for(
    place: NodeNamespace, unbroken: dict[str, bytes], s3_folder: Path, s3_server: S3Server, node: Node
) -> None:
    name = "storage-away"
    start_long_job(place, name)
    place.wait_for_step(name, "sft", SAVED)
    _take_away(s3_folder, node)
    place.wait_for_phase(name, "Merging")
    _take_away(s3_folder, node)

    assert adapters_of(place, name, attempts={"sft": 1, "preference": 1, "merge": 1}) == unbroken


def test_an_operator_that_is_killed_again_and_again_changes_nothing(
    place: NodeNamespace, unbroken: dict[str, bytes]
) -> None:
    name = "operator-killed"
    moments = random.Random(name)
    start_long_job(place, name)
    for _ in range(OPERATOR_KILLS):
        time.sleep(moments.uniform(1, 7))
        for pod in place.kubernetes.list(POD, OPERATOR_NAMESPACE):
            place.kubernetes.delete(POD, pod["metadata"]["name"], OPERATOR_NAMESPACE, grace_seconds=0)

    assert adapters_of(place, name, attempts={"prepare": 1, "sft": 1, "preference": 1, "merge": 1}) == unbroken
    jobs = place.kubernetes.list(JOB, place.name, labels=f"paft.dev/job-name={name}")
    assert len(jobs) == 4


def test_a_kubelet_that_is_away_for_a_minute_changes_nothing(
    place: NodeNamespace, unbroken: dict[str, bytes], node: Node
) -> None:
    name = "kubelet-away"
    start_long_job(place, name)
    place.wait_for_step(name, "sft", 1)
    subprocess.run(["pkill", "-KILL", "-x", "kubelet"], check=True)
    time.sleep(60)
    assert not _is_ready(place.kubernetes.get(NODE, NODE_NAME))
    with (Path(node.logs) / "kubelet.log").open("ab") as log:
        subprocess.run(["setsid", "--fork", *node.commands["kubelet"]], stdout=log, stderr=log, check=True)
    place.kubernetes.wait_for(NODE, NODE_NAME, None, _is_ready, seconds=120)

    assert adapters_of(place, name, attempts={"sft": 1, "preference": 1}) == unbroken


def test_a_job_that_is_deleted_leaves_its_neighbour_alone(place: NodeNamespace, unbroken: dict[str, bytes]) -> None:
    for name in ("kept", "deleted"):
        start_long_job(place, name)
    place.wait_for_step("deleted", "sft", SAVED)
    place.kubernetes.delete(PAFT_JOB, "deleted", place.name)

    assert adapters_of(place, "kept", attempts={"prepare": 1, "sft": 1, "preference": 1, "merge": 1}) == unbroken
    place.wait_until(lambda: place.children("deleted") == [], "the deleted job leaves objects")
    assert any("attempts/" in name for name in place.objects(place.artifacts("deleted")))


def _take_away(folder: Path, node: Node) -> None:
    seaweedfs.stop(folder)
    time.sleep(30)
    seaweedfs.start(folder, port=S3_PORT, address=node.address)


def _is_ready(one: Object) -> bool:
    return any(item["type"] == "Ready" and item["status"] == "True" for item in one["status"]["conditions"])
