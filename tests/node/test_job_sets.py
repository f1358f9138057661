"""Arms as JobSets, with JobSet's own controller."""

import pytest
from hack.control_plane.client import CUSTOM_RESOURCE_DEFINITION, JOB, POD, Kind, KubernetesClient, Object
from hack.node.job_set import DEPLOYMENT, NAMESPACE, job_set_manifests
from tests.helm.helm_program import NAMESPACE as OPERATOR_NAMESPACE
from tests.helm.helm_program import RELEASE
from tests.node.long_jobs import SAVED, adapters_of, start_long_job
from tests.node.node_cluster import BASE, DATA, PAFT_JOB, NodeNamespace, condition, small_job, stage

pytestmark = pytest.mark.timeout(900)

DEFINITION = "jobsets.jobset.x-k8s.io"
JOB_SET = Kind("jobset.x-k8s.io/v1alpha2", "JobSet")
DEPLOYMENTS = Kind("apps/v1", "Deployment")


@pytest.fixture(scope="module")
def job_sets(kubernetes: KubernetesClient, place: NodeNamespace) -> None:
    """JobSet, installed while the operator runs, which takes note and starts anew."""
    if kubernetes.find(CUSTOM_RESOURCE_DEFINITION, DEFINITION) is not None:
        return
    (before,) = _operators(kubernetes)
    for manifest in job_set_manifests():
        kubernetes.apply(manifest)
    kubernetes.wait_for(DEPLOYMENTS, DEPLOYMENT, NAMESPACE, _is_available, seconds=120)
    restarts = _restarts(before) + 1
    place.wait_until(
        lambda: any(_restarts(pod) == restarts and _is_ready(pod) for pod in _operators(kubernetes)),
        "the operator takes no note of JobSet",
        seconds=90,
    )


@pytest.mark.node
def test_each_arm_is_a_job_set(job_sets: None, place: NodeNamespace) -> None:
    name = "sets"
    place.create(small_job(place, name, BASE, DATA, backend="auto"))
    job = place.wait_for_phase(name, "Succeeded")

    assert {one["metadata"]["name"] for one in place.kubernetes.list(JOB_SET, place.name)} == {
        f"{name}-sft-1",
        f"{name}-preference-1",
    }
    jobs = {one["metadata"]["name"] for one in place.kubernetes.list(JOB, place.name)}
    assert jobs == {f"{name}-{rest}" for rest in ("prepare-1", "sft-1-sft-0", "preference-1-preference-0", "merge-1")}
    hosts = sorted(pod["spec"]["hostname"] for pod in place.pods(name, "sft"))
    assert hosts == [f"{name}-sft-1-sft-0-{index}" for index in (0, 1)]
    assert [stage(job["status"], arm)["attempt"] for arm in ("sft", "preference")] == [1, 1]


@pytest.mark.node
def test_a_cause_is_told_through_a_job_set(job_sets: None, place: NodeNamespace) -> None:
    name = "little-memory"
    manifest = small_job(place, name, BASE, DATA, backend="jobset")
    manifest["spec"]["sft"]["resources"] |= {"nodes": 1, "memory": "200Mi", "sharedMemory": "64Mi"}
    manifest["spec"]["sft"]["training"]["maxSteps"] = 13
    manifest["spec"]["runPolicy"] |= {"backoffLimit": 0, "ttlSecondsAfterFinished": 5}
    place.create(manifest)
    job = place.wait_for_phase(name, "Failed")

    assert condition(job, "Failed")["reason"] == "HostOOM"
    place.wait_until(lambda: _left_of(place, name) == [], "objects are left after their time")


@pytest.mark.e2e
def test_suspension_saves_and_resumption_goes_on(
    job_sets: None, place: NodeNamespace, unbroken: dict[str, bytes]
) -> None:
    name = "suspended"
    start_long_job(place, name, backend="jobset")
    for arm in ("sft", "preference"):
        place.wait_for_step(name, arm, SAVED)
    _set_suspend(place, name, True)
    place.wait_for_phase(name, "Suspended")
    place.wait_until(lambda: _sets_of(place, name) == [], "JobSets of a suspended job are still there")
    status = place.get(name)["status"]
    assert [stage(status, arm)["state"] for arm in ("sft", "preference")] == ["Stopped", "Stopped"]

    _set_suspend(place, name, False)
    assert adapters_of(place, name, attempts={"sft": 2, "preference": 2}) == unbroken
    assert sorted(_sets_of(place, name)) == [f"{name}-preference-2", f"{name}-sft-2"]


def _set_suspend(place: NodeNamespace, name: str, suspend: bool) -> None:
    place.kubernetes.patch(PAFT_JOB, name, place.name, {"spec": {"runPolicy": {"suspend": suspend}}})


def _sets_of(place: NodeNamespace, job: str) -> list[str]:
    found = place.kubernetes.list(JOB_SET, place.name, labels=f"paft.dev/job-name={job}")
    return [one["metadata"]["name"] for one in found]


def _left_of(place: NodeNamespace, job: str) -> list[str]:
    return [*_sets_of(place, job), *place.children(job)]


def _operators(kubernetes: KubernetesClient) -> list[Object]:
    """Pods of the Deployment; others may be ending."""
    return kubernetes.list(POD, OPERATOR_NAMESPACE, labels=f"app.kubernetes.io/name={RELEASE}")


def _restarts(pod: Object) -> int:
    return sum(one["restartCount"] for one in pod.get("status", {}).get("containerStatuses", ()))


def _is_ready(pod: Object) -> bool:
    return all(one["ready"] for one in pod["status"]["containerStatuses"])


def _is_available(deployment: Object) -> bool:
    return bool(deployment.get("status", {}).get("availableReplicas"))
