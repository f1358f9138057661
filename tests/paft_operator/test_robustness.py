"""Bad times: kills, other people's objects, refusals."""

import copy
import time
from pathlib import Path

import pytest
from hack import control_plane as control_planes
from hack.control_plane import ControlPlane, Settings
from hack.control_plane.client import CONFIG_MAP, JOB, Kind, KubernetesClient, Object
from tests.kubelet_stand_in import KubeletStandIn
from tests.paft_operator.cluster_jobs import SERVICE, ClusterJobs, condition, minimal_job, stage, wait_until
from tests.paft_operator.operator_processes import OperatorProcess
from tests.paft_operator.played_stages import stage as play

pytestmark = pytest.mark.slow

QUOTA = Kind("v1", "ResourceQuota")


def test_kills_at_any_time_change_nothing(
    operator: OperatorProcess, jobs: ClusterJobs, kubelet: KubeletStandIn
) -> None:
    kubelet.play(play(0.5), {})
    jobs.create(minimal_job())

    for seconds in (0.1, 0.3, 0.2, 0.5):
        time.sleep(seconds)
        operator.kill()
        operator.start()
        operator.wait_until_leading()
    job = jobs.wait_for_phase("Succeeded")

    assert {entry["attempt"] for entry in job["status"]["stages"]} == {1}
    assert len(jobs.jobs()) == 4
    reasons = [reason for _, reason, _ in jobs.events()]
    assert len(reasons) == len(set(reasons))


def test_an_idle_operator_writes_nothing_even_when_it_starts(
    operator: OperatorProcess, jobs: ClusterJobs, kubelet: KubeletStandIn
) -> None:
    kubelet.play(play(), {})
    jobs.create(minimal_job())
    before = jobs.wait_for_phase("Succeeded")
    objects = [(one["metadata"]["name"], one["metadata"]["resourceVersion"]) for one in jobs.jobs()]
    told = jobs.events()

    assert operator.stop() == 0
    operator.start()
    operator.wait_until_leading()
    time.sleep(2)

    assert jobs.get()["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]
    assert [(one["metadata"]["name"], one["metadata"]["resourceVersion"]) for one in jobs.jobs()] == objects
    assert jobs.events() == told


OTHERS = {
    "a Service": (SERVICE, "tiny-sft", {"spec": {"ports": [{"port": 80}]}}, "sft"),
    "a ConfigMap": (CONFIG_MAP, "tiny-prepare-1", {"data": {"mine": "yes"}}, "prepare"),
    "a Job": (
        JOB,
        "tiny-prepare-1",
        {
            "spec": {
                "suspend": True,
                "template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "x", "image": "x"}]}},
            }
        },
        "prepare",
    ),
}


@pytest.mark.parametrize(("kind", "name", "content", "begun"), OTHERS.values(), ids=OTHERS.keys())
def test_objects_of_others_are_left_alone(
    operator: OperatorProcess,
    jobs: ClusterJobs,
    kubelet: KubeletStandIn,
    kubernetes: KubernetesClient,
    kind: Kind,
    name: str,
    content: Object,
    begun: str,
) -> None:
    kubelet.play(play(), {})
    foreign = {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": {"name": name}} | content
    foreign["metadata"]["namespace"] = jobs.namespace
    before = kubernetes.create(foreign)

    jobs.create(minimal_job())
    job = jobs.wait(lambda status: condition(status, "Reconciling").get("reason") == "ChildrenRefused")

    expected = f"{kind.kind} {name} exists and is not this PaftJob's; delete or rename it"
    assert condition(job, "Reconciling")["message"] == expected
    assert stage(job, begun).get("state", "Pending") == "Pending"
    assert kubernetes.get(kind, name, jobs.namespace)["metadata"]["uid"] == before["metadata"]["uid"]
    assert "ownerReferences" not in kubernetes.get(kind, name, jobs.namespace)["metadata"]

    kubernetes.delete(kind, name, jobs.namespace)
    jobs.wait_for_phase("Succeeded")


def test_a_refusal_is_told_and_tried_again(
    operator: OperatorProcess, jobs: ClusterJobs, kubelet: KubeletStandIn, kubernetes: KubernetesClient
) -> None:
    kubelet.play(play(), {})
    quota = {"metadata": {"name": "no-jobs", "namespace": jobs.namespace}, "spec": {"hard": {"count/jobs.batch": "0"}}}
    kubernetes.create({"apiVersion": "v1", "kind": "ResourceQuota"} | quota)
    kubernetes.wait_for(QUOTA, "no-jobs", jobs.namespace, lambda one: one.get("status", {}).get("hard"))

    jobs.create(minimal_job())
    job = jobs.wait(lambda status: condition(status, "Reconciling").get("reason") == "ChildrenRefused")
    assert "exceeded quota: no-jobs" in condition(job, "Reconciling")["message"]
    assert ("Warning", "ChildrenRefused") in [(type_, reason) for type_, reason, _ in jobs.events()]

    kubernetes.delete(QUOTA, "no-jobs", jobs.namespace)
    jobs.wait_for_phase("Succeeded")


def test_a_job_that_somebody_deletes_is_retried(
    operator: OperatorProcess, jobs: ClusterJobs, kubelet: KubeletStandIn, kubernetes: KubernetesClient
) -> None:
    kubelet.play(play(60), {"paft.dev/stage": "sft", "paft.dev/attempt": "1"})
    kubelet.play(play(), {})
    jobs.create(minimal_job())
    jobs.wait(lambda status: stage(status, "sft").get("step") == 4)

    kubernetes.delete(JOB, "tiny-sft-1", jobs.namespace)
    job = jobs.wait_for_phase("Succeeded")

    assert stage(job, "sft")["attempt"] == 2
    assert any("Its Job was deleted by somebody else." in message for _, _, message in jobs.events())


def test_a_second_job_with_the_same_output_waits(
    operator: OperatorProcess, jobs: ClusterJobs, kubelet: KubeletStandIn
) -> None:
    kubelet.play(play(1), {})
    jobs.create(minimal_job("older", output="s3://models/same/"))
    time.sleep(1.1)
    jobs.create(minimal_job("younger", output="s3://models/same/"))

    waiting = jobs.wait(lambda status: condition(status, "Validated").get("reason") == "OutputInUse", "younger")
    assert f"{jobs.namespace}/older" in condition(waiting, "Validated")["message"]
    assert jobs.children(name="younger") == []
    jobs.wait_for_phase("Succeeded", "older")
    jobs.wait_for_phase("Succeeded", "younger")


def test_bad_settings_end_it_with_words(control_plane: ControlPlane, tmp_path: Path) -> None:
    operator = OperatorProcess(
        control_plane.kubeconfig, namespaces=["default"], log_file=tmp_path / "operator.log", workers="many"
    )
    with operator:
        assert operator.process.wait(30) == 2

    assert (tmp_path / "operator.log").read_text(encoding="utf-8").startswith("--workers (PAFT_OPERATOR_WORKERS)")


@pytest.mark.timeout(180)
def test_a_definition_that_is_too_old_is_told(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path, definition: Object
) -> None:
    """With a control plane of its own: the definition is shared by all tests."""
    older = copy.deepcopy({name: definition[name] for name in ("apiVersion", "kind", "spec")})
    older["metadata"] = {"name": definition["metadata"]["name"]}
    properties = older["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
    del properties["status"]["properties"]["activeSeconds"]
    log_file = tmp_path / "operator.log"
    with (
        control_planes.running(Settings(directory=tmp_path_factory.mktemp("older"))) as own,
        KubernetesClient(own.kubeconfig) as client,
        OperatorProcess(own.kubeconfig, namespaces=["default"], log_file=log_file) as operator,
    ):
        wait_until(lambda: operator.get("/readyz")[1].startswith("the CustomResourceDefinition of paftjobs"))
        client.apply(older)
        operator.wait_until_leading()
        ClusterJobs(client, "default").create(minimal_job())

        expected = "the CustomResourceDefinition is older than this operator"
        wait_until(lambda: any(expected in line["message"] for line in operator.log))
