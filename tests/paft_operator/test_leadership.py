"""Two operators and one Lease."""

import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from hack.control_plane import ControlPlane
from hack.control_plane.client import JOB, Kind, KubernetesClient, Object
from tests.kubelet_stand_in import KubeletStandIn
from tests.paft_operator.cluster_jobs import ClusterJobs, minimal_job, stage
from tests.paft_operator.operator_processes import OperatorProcess
from tests.paft_operator.played_stages import stage as play

pytestmark = pytest.mark.slow

LEASE = Kind("coordination.k8s.io/v1", "Lease")
SHORT = {"lease_duration": 3, "lease_renew_deadline": 2, "lease_retry_interval": 0.5}


@pytest.fixture
def operators(
    control_plane: ControlPlane, definition: Object, namespace: str, tmp_path: Path
) -> Iterator[list[OperatorProcess]]:
    """The first leads, the second waits."""
    with ExitStack() as stack:
        made = [
            OperatorProcess(
                control_plane.kubeconfig,
                namespaces=[namespace],
                log_file=tmp_path / f"{name}.log",
                election=True,
                identity=name,
                **SHORT,
            )
            for name in ("first", "second")
        ]
        for operator, wait in zip(made, ("wait_until_leading", "wait_until_ready"), strict=True):
            stack.enter_context(operator)
            getattr(operator, wait)()
        yield made


def _holder(kubernetes: KubernetesClient, namespace: str) -> str:
    return str(kubernetes.get(LEASE, "paft-operator", namespace)["spec"]["holderIdentity"])


def test_the_standby_is_ready_and_does_nothing(
    operators: list[OperatorProcess], kubernetes: KubernetesClient, namespace: str
) -> None:
    first, second = operators

    assert _holder(kubernetes, namespace) == "first"
    assert "paft_leader 1.0" in first.get("/metrics")[1]
    assert "paft_leader 0.0" in second.get("/metrics")[1]
    assert not any("listed" in line["message"] for line in second.log)


def test_a_leader_that_is_asked_to_end_hands_over_at_once(operators: list[OperatorProcess]) -> None:
    first, second = operators

    assert first.stop() == 0
    second.wait_until_leading(seconds=8)


def test_a_killed_leader_is_replaced_and_nothing_is_done_twice(
    operators: list[OperatorProcess], jobs: ClusterJobs, kubelet: KubeletStandIn
) -> None:
    first, second = operators
    kubelet.play(play(2), {})
    jobs.create(minimal_job())
    jobs.wait(lambda status: stage(status, "sft")["state"] == "Running")
    begun = {one["metadata"]["name"]: one["metadata"]["uid"] for one in jobs.jobs()}

    first.kill()
    second.wait_until_leading()
    job = jobs.wait_for_phase("Succeeded")

    assert {entry["attempt"] for entry in job["status"]["stages"]} == {1}
    ended = {one["metadata"]["name"]: one["metadata"]["uid"] for one in jobs.jobs()}
    assert begun.items() <= ended.items()
    assert len(ended) == 4


def test_a_frozen_leader_writes_nothing_when_it_wakes_up(
    operators: list[OperatorProcess], jobs: ClusterJobs, kubelet: KubeletStandIn
) -> None:
    first, second = operators
    kubelet.play(play(), {})

    first.send(signal.SIGSTOP)
    second.wait_until_leading()
    jobs.create(minimal_job())
    job = jobs.wait_for_phase("Succeeded")
    first.send(signal.SIGCONT)

    assert first.process.wait(20) == 1
    assert "leadership is lost" in first.log[-1]["message"]
    assert jobs.get()["metadata"]["resourceVersion"] == job["metadata"]["resourceVersion"]
    assert jobs.children(JOB) == [f"Job tiny-{name}-1" for name in ("merge", "preference", "prepare", "sft")]


def test_a_leader_that_lost_the_lease_ends(
    operators: list[OperatorProcess], kubernetes: KubernetesClient, namespace: str
) -> None:
    first, _ = operators
    kubernetes.patch(LEASE, "paft-operator", namespace, {"spec": {"holderIdentity": "somebody"}})

    assert first.process.wait(10) == 1
