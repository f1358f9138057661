"""Queues with real pods: what is evicted saves, and both arms start at once or not at all. Kueue's part is played."""

import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hack.control_plane.client import JOB, POD, Kind, KubernetesClient
from hack.node.node import Node
from kubernetes.client.exceptions import ApiException
from tests.node.long_jobs import SAVED, adapters_of, start_long_job
from tests.node.node_cluster import NodeNamespace, condition, stage
from tests.node.test_job_sets import JOB_SET, job_sets

__all__ = ["job_sets"]

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1200)]

QUEUE = "team"
QUEUE_NAME = "kueue.x-k8s.io/queue-name"


class Queue:
    """Admits everything in a namespace that waits in it, but what is in `held`."""

    def __init__(self, client: KubernetesClient, namespace: str, kinds: tuple[Kind, ...]) -> None:
        self.held: set[str] = set()
        self._client = client
        self._namespace = namespace
        self._kinds = kinds
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._admit, name="queue")

    def evict(self, kind: Kind, name: str) -> None:
        """Take its place away, and keep it waiting."""
        self.held.add(name)
        self._client.patch(kind, name, self._namespace, {"spec": {"suspend": True}})

    def __enter__(self) -> "Queue":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _admit(self) -> None:
        while not self._stop.wait(0.3):
            for kind in self._kinds:
                for one in self._client.list(kind, self._namespace, labels=f"{QUEUE_NAME}={QUEUE}"):
                    name = one["metadata"]["name"]
                    if one["spec"].get("suspend") and name not in self.held:
                        # It may be deleted in this very moment.
                        with suppress(ApiException):
                            self._client.patch(kind, name, self._namespace, {"spec": {"suspend": False}})


@pytest.fixture
def client(node: Node) -> Iterator[KubernetesClient]:
    """For the queue's thread."""
    with KubernetesClient(Path(node.kubeconfig)) as client:
        yield client


def test_an_arm_that_is_evicted_saves_and_goes_on(
    place: NodeNamespace, client: KubernetesClient, unbroken: dict[str, bytes]
) -> None:
    name = "evicted-by-queue"
    with Queue(client, place.name, (JOB,)) as queue:
        start_long_job(place, name, queueName=QUEUE)
        place.wait_for_step(name, "sft", SAVED)
        queue.evict(JOB, f"{name}-sft-1")
        place.wait(name, lambda status: condition({"status": status}, "Queued").get("status") == "True")
        place.wait_until(lambda: place.pods(name, "sft") == [], "pods of what is evicted are still there")
        queue.held.clear()
        adapters = adapters_of(place, name, attempts={"sft": 1, "preference": 1})

    assert adapters == unbroken
    status = place.get(name)["status"]
    assert stage(status, "sft")["failures"] == 0


def test_both_arms_start_together_and_again(
    job_sets: None, place: NodeNamespace, client: KubernetesClient, unbroken: dict[str, bytes]
) -> None:
    name = "both-at-once"
    with Queue(client, place.name, (JOB, JOB_SET)) as queue:
        queue.held.add(f"{name}-arms-1-1")
        start_long_job(place, name, queueName=QUEUE, backend="auto", admission="Atomic")
        place.wait_until(
            lambda: place.kubernetes.find(JOB_SET, f"{name}-arms-1-1", place.name) is not None, "there is no JobSet"
        )
        job = place.wait(name, lambda status: condition({"status": status}, "Queued").get("status") == "True")
        assert [stage(job["status"], arm)["attempt"] for arm in ("sft", "preference")] == [1, 1]
        assert place.pods(name, "sft") == []

        queue.held.clear()
        for arm in ("sft", "preference"):
            place.wait_for_step(name, arm, SAVED)
        (pod, _) = place.pods(name, "sft")
        place.kubernetes.delete(POD, pod["metadata"]["name"], place.name)
        adapters = adapters_of(place, name, attempts={"prepare": 1, "sft": 2, "preference": 2, "merge": 1})

    assert adapters == unbroken
    status = place.get(name)["status"]
    assert [stage(status, arm)["failures"] for arm in ("sft", "preference")] == [0, 0]
    assert {one["metadata"]["name"] for one in place.kubernetes.list(JOB_SET, place.name)} >= {f"{name}-arms-2-2"}
