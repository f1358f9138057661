"""What the kubelet stand-in plays means to Kubernetes what a real kubelet's word means: the Job controller judges."""

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hack.control_plane import ControlPlane, read_audit_log
from hack.control_plane.client import CONFIG_MAP, JOB, POD, KubernetesClient, Object
from kubernetes.client.exceptions import ApiException
from tests.kubelet_stand_in import KubeletStandIn
from tests.paft_operator.manifests.golden import SETTINGS, job_of, start_of
from tests.played_pods import (
    PlayedPod,
    PodTerminated,
    Script,
    Steps,
    ending,
    failing,
    running_until_deleted,
    succeeding,
    unschedulable_until_deleted,
    without_image_until_deleted,
)
from tests.pod_statuses import OUT_OF_MEMORY

from paft_api.report import ReportState, StageReport
from paft_api.spec import PaftJob
from paft_api.stage_pods import REPORT_KEY
from paft_api.stages import StageName
from paft_operator.manifests.attempt_objects import attempt_objects

FAIL_AT_ONCE = [
    {"action": "FailJob", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
    {"action": "FailJob", "onExitCodes": {"operator": "NotIn", "values": [0]}},
]


class Cluster:
    """The test's namespace."""

    def __init__(self, client: KubernetesClient, namespace: str) -> None:
        self.client = client
        self.namespace = namespace

    def create_job(self, name: str = "arm", *, pods: int = 1, grace_seconds: int = 30, **labels: str) -> None:
        """An Indexed Job that fails with its first Pod, as an arm's does."""
        container = {"name": "trainer", "image": "registry.example.com/trainer:1"}
        template = {
            "metadata": {"labels": labels},
            "spec": {
                "restartPolicy": "Never",
                "terminationGracePeriodSeconds": grace_seconds,
                "containers": [container],
            },
        }
        spec = {
            "completionMode": "Indexed",
            "completions": pods,
            "parallelism": pods,
            "backoffLimit": 0,
            "podReplacementPolicy": "Failed",
            "podFailurePolicy": {"rules": FAIL_AT_ONCE},
            "template": template,
        }
        metadata = {"name": name, "namespace": self.namespace}
        self.client.create({"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec})

    def ended_job(self, name: str = "arm") -> tuple[str, str, str]:
        """Type, reason and message of the condition with which a Job ended."""
        job = self.client.wait_for(JOB, name, self.namespace, lambda job: _terminal_condition(job) is not None)
        condition = _terminal_condition(job)
        assert condition is not None
        return condition["type"], condition.get("reason", ""), condition.get("message", "")

    def pod(self, is_met: Callable[[Object], object] = bool, *, job: str = "arm") -> Object:
        """A Job's only Pod, once it is as wanted."""
        labels = f"batch.kubernetes.io/job-name={job}"
        self.client.wait_for(JOB, job, self.namespace, lambda _: self.client.list(POD, self.namespace, labels=labels))
        (pod,) = self.client.list(POD, self.namespace, labels=labels)
        return self.client.wait_for(POD, pod["metadata"]["name"], self.namespace, is_met)

    def delete_job(self, name: str = "arm") -> None:
        """Delete a Job and wait until it and its Pods are gone."""
        self.client.delete(JOB, name, self.namespace, propagation="Foreground")
        _wait_until(lambda: self.client.find(JOB, name, self.namespace) is None)


@pytest.fixture
def cluster(kubernetes: KubernetesClient, namespace: str) -> Cluster:
    """The test's namespace."""
    return Cluster(kubernetes, namespace)


def test_an_indexed_job_completes_and_its_pods_look_as_on_a_node(cluster: Cluster, kubelet: KubeletStandIn) -> None:
    kubelet.play(succeeding())

    cluster.create_job(pods=2)

    assert cluster.ended_job()[0] == "Complete"
    job = cluster.client.get(JOB, "arm", cluster.namespace)
    assert (job["status"]["succeeded"], job["status"]["completedIndexes"]) == (2, "0,1")
    pods = sorted(cluster.client.list(POD, cluster.namespace), key=lambda pod: str(pod["spec"]["nodeName"]))
    assert [pod["spec"]["nodeName"] for pod in pods] == ["node-0", "node-1"]
    status = pods[0]["status"]
    assert status["phase"] == "Succeeded"
    assert {one["type"]: (one["status"], one.get("reason")) for one in status["conditions"]} == {
        "PodScheduled": ("True", None),
        "Initialized": ("True", None),
        "Ready": ("False", "PodCompleted"),
        "ContainersReady": ("False", "PodCompleted"),
    }
    terminated = status["containerStatuses"][0]["state"]["terminated"]
    assert (terminated["exitCode"], terminated["reason"]) == (0, "Completed")


@pytest.mark.parametrize(
    ("script", "terminated"),
    [
        (
            failing(65, message='{"cause": "HostOOM"}'),
            {"exitCode": 65, "reason": "Error", "message": '{"cause": "HostOOM"}'},
        ),
        (ending(OUT_OF_MEMORY), {"exitCode": 137, "reason": "OOMKilled"}),
    ],
    ids=["exit code", "out of memory"],
)
def test_a_failed_container_fails_the_job(
    script: Script, terminated: dict[str, Any], cluster: Cluster, kubelet: KubeletStandIn
) -> None:
    kubelet.play(script)

    cluster.create_job()

    kind, reason, message = cluster.ended_job()
    assert (kind, reason) == ("Failed", "PodFailurePolicy")
    assert f"failed with exit code {terminated['exitCode']} matching FailJob rule at index 1" in message
    told = cluster.pod()["status"]["containerStatuses"][0]["state"]["terminated"]
    assert {key: told[key] for key in ("exitCode", "reason", "message") if key in told} == terminated


def _preempted(pod: PlayedPod) -> Steps:
    pod.schedule()
    pod.start()
    pod.be_preempted()
    yield from ()


def _evicted(pod: PlayedPod) -> Steps:
    pod.schedule()
    pod.start()
    pod.be_evicted()
    yield from ()


def _lost(pod: PlayedPod) -> Steps:
    pod.schedule()
    pod.start()
    pod.lose_node()
    yield from ()


@pytest.mark.parametrize("script", [_preempted, _evicted, _lost])
def test_a_disruption_fails_the_job_as_such(script: Script, cluster: Cluster, kubelet: KubeletStandIn) -> None:
    kubelet.play(script)

    cluster.create_job()

    kind, reason, message = cluster.ended_job()
    assert (kind, reason) == ("Failed", "PodFailurePolicy")
    assert "has condition DisruptionTarget matching FailJob rule at index 0" in message


def test_a_pod_without_a_node_or_an_image_waits_and_says_why(cluster: Cluster, kubelet: KubeletStandIn) -> None:
    kubelet.play(unschedulable_until_deleted, {"app": "big"})
    kubelet.play(without_image_until_deleted, {"app": "misspelt"})

    cluster.create_job("big", app="big")
    cluster.create_job("misspelt", app="misspelt")

    unscheduled = cluster.pod(lambda pod: pod["status"].get("conditions"), job="big")
    (condition,) = unscheduled["status"]["conditions"]
    assert (condition["type"], condition["status"], condition["reason"]) == ("PodScheduled", "False", "Unschedulable")
    assert "nodeName" not in unscheduled["spec"]
    waiting = cluster.pod(lambda pod: pod["status"].get("containerStatuses"), job="misspelt")
    assert waiting["status"]["phase"] == "Pending"
    assert waiting["status"]["containerStatuses"][0]["state"] == {
        "waiting": {"reason": "ImagePullBackOff", "message": 'Back-off pulling image "registry.example.com/trainer:1"'}
    }
    cluster.delete_job("big")
    cluster.delete_job("misspelt")
    assert cluster.client.list(POD, cluster.namespace) == []


def test_a_deleted_pod_saves_before_it_goes(cluster: Cluster, kubelet: KubeletStandIn) -> None:
    order: list[str] = []

    def saving(pod: PlayedPod) -> Steps:
        pod.schedule()
        pod.start()
        try:
            order.append("running")
            yield 60
        except PodTerminated:
            order.append("saving")
            yield 0.1
            order.append("saved")
            pod.fail(143)

    kubelet.play(saving)
    cluster.create_job()
    _wait_until(lambda: order == ["running"])

    cluster.delete_job()

    assert order == ["running", "saving", "saved"]
    assert cluster.client.list(POD, cluster.namespace) == []


def test_a_pod_that_ignores_sigterm_is_killed_after_its_grace_period(cluster: Cluster, kubelet: KubeletStandIn) -> None:
    def deaf(pod: PlayedPod) -> Steps:
        pod.schedule()
        pod.start()
        while True:
            try:
                yield 60
            except PodTerminated:
                continue

    kubelet.play(deaf)
    cluster.create_job(grace_seconds=1)
    pod = cluster.pod(lambda pod: pod["status"]["phase"] == "Running")

    exit_codes = _exit_codes_until_gone(cluster, pod)

    assert exit_codes == {137}


def test_a_pod_without_a_script_for_sigterm_exits_with_143(cluster: Cluster, kubelet: KubeletStandIn) -> None:
    kubelet.play(running_until_deleted)
    cluster.create_job()
    pod = cluster.pod(lambda pod: pod["status"]["phase"] == "Running")

    exit_codes = _exit_codes_until_gone(cluster, pod)

    assert exit_codes == {143}


def test_scripts_are_chosen_by_labels_in_their_order(cluster: Cluster, kubelet: KubeletStandIn) -> None:
    kubelet.play(succeeding(), {"stage": "sft"})
    kubelet.play(failing(), {})
    kubelet.play(failing(), {"stage": "sft", "attempt": "1"}, first=True)

    cluster.create_job("first", stage="sft", attempt="1")
    cluster.create_job("second", stage="sft", attempt="2")
    cluster.create_job("other", stage="merge")

    assert [cluster.ended_job(name)[0] for name in ("first", "second", "other")] == ["Failed", "Complete", "Failed"]


def test_pods_that_were_there_before_are_played_too(
    cluster: Cluster, kubernetes: KubernetesClient, namespace: str
) -> None:
    cluster.create_job()
    cluster.pod()

    stand_in = KubeletStandIn(kubernetes, namespace=namespace)
    stand_in.play(succeeding())
    with stand_in:
        assert cluster.ended_job()[0] == "Complete"


def test_an_error_in_a_script_fails_the_test(kubernetes: KubernetesClient, cluster: Cluster, namespace: str) -> None:
    def broken(pod: PlayedPod) -> Steps:
        pod.schedule()
        yield 0
        raise ZeroDivisionError("a mistake in the script")

    with pytest.raises(ExceptionGroup) as raised, KubeletStandIn(kubernetes, namespace=namespace) as stand_in:
        stand_in.play(broken)
        cluster.create_job()
        cluster.pod(lambda pod: pod["spec"].get("nodeName"))

    assert [str(error) for error in raised.value.exceptions] == ["a mistake in the script"]


def test_a_report_is_written_with_the_rights_of_the_pods_own_account(
    control_plane: ControlPlane, cluster: Cluster, kubelet: KubeletStandIn
) -> None:
    reports: list[StageReport] = []
    refusals: list[ApiException] = []

    def reporting(pod: PlayedPod) -> Steps:
        pod.schedule()
        pod.start()
        identity = pod.run_spec.identity
        report = StageReport(identity=identity, state=ReportState.RUNNING, updated_at=datetime.now(UTC))
        pod.write_report(report)
        reports.append(report)
        try:
            pod.write_config_map("somebody-elses", {REPORT_KEY: "{}"})
        except ApiException as error:
            refusals.append(error)
        yield 0
        pod.succeed()

    kubelet.play(reporting)
    cluster.client.apply(_config_map("somebody-elses", cluster.namespace))
    _apply_attempt(cluster, StageName.PREPARE)

    assert cluster.ended_job("tiny-prepare-1")[0] == "Complete"
    written = cluster.client.get(CONFIG_MAP, "tiny-prepare-1-report", cluster.namespace)
    assert StageReport.model_validate_json(written["data"][REPORT_KEY]) == reports[0]
    assert [error.status for error in refusals] == [403]
    account = f"system:serviceaccount:{cluster.namespace}:tiny-prepare-1"
    requests = [one for one in read_audit_log(control_plane.audit_log) if one.user == account]
    assert {(one.verb, one.resource, one.name, one.code) for one in requests} == {
        ("patch", "configmaps", "tiny-prepare-1-report", 200),
        ("patch", "configmaps", "somebody-elses", 403),
    }


def _apply_attempt(cluster: Cluster, stage: StageName) -> None:
    document = job_of("cpu_only").to_document()
    document["metadata"]["namespace"] = cluster.namespace
    job = PaftJob.model_validate_json(json.dumps(document))
    for manifest in attempt_objects(job, start_of(stage, 1), SETTINGS):
        # The garbage collector would find that there is no PaftJob.
        del manifest["metadata"]["ownerReferences"]
        cluster.client.apply(manifest)


def _config_map(name: str, namespace: str) -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": namespace}}


def _exit_codes_until_gone(cluster: Cluster, pod: Object) -> set[int]:
    """Delete a Job and collect the exit codes that its Pod shows before it is gone."""
    watch = cluster.client.watch(
        POD, cluster.namespace, resource_version=pod["metadata"]["resourceVersion"], seconds=60
    )
    cluster.client.delete(JOB, "arm", cluster.namespace)
    exit_codes = set()
    for event in watch:
        state = event.object["status"]["containerStatuses"][0]["state"]
        if "terminated" in state:
            exit_codes.add(state["terminated"]["exitCode"])
        if event.type == "DELETED":
            watch.close()
            return exit_codes
    raise AssertionError("the Pod was never deleted")


def _wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _terminal_condition(job: Object) -> dict[str, Any] | None:
    conditions = job.get("status", {}).get("conditions", ())
    return next((one for one in conditions if one["type"] in ("Complete", "Failed") and one["status"] == "True"), None)
