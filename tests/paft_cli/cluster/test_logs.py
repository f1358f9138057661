"""`paft logs STAGE NAME`: a real API server, and a node whose kubelet serves logs only."""

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hack.control_plane.client import NODE, POD, STRATEGIC_MERGE, KubernetesClient, Object
from tests import pod_statuses
from tests.paft_cli.cluster.command_line import CommandLine
from tests.paft_cli.cluster.log_node import LogNode
from tests.paft_cli.cluster.written_jobs import WrittenJobs, failed, prepared, training
from tests.paft_cli.workplace import wait_until

from paft_api.labels import JOB_UID, attempt_labels
from paft_api.stages import StageName
from paft_api.status import PaftJobStatus, StageState, StageStatus

MakePod = Callable[..., str]


@pytest.fixture
def node(kubernetes: KubernetesClient, tmp_path: Path) -> Iterator[LogNode]:
    with LogNode(f"logs-{uuid.uuid4().hex[:8]}").serving(kubernetes, tmp_path) as node:
        yield node


@pytest.fixture
def make_pod(kubernetes: KubernetesClient, namespace: str, node: LogNode, written: WrittenJobs) -> MakePod:
    """Creates a pod of the PaftJob `tiny` on the node; returns its name."""

    def make(
        stage: StageName,
        attempt: int,
        index: int | None = None,
        *,
        status: Callable[[Object], Object] = pod_statuses.started,
        job_uid: str | None = None,
    ) -> str:
        uid = job_uid or written.get()["metadata"]["uid"]
        annotations = {} if index is None else {"batch.kubernetes.io/job-completion-index": str(index)}
        name = f"tiny-{stage}-{attempt}-{index or 0}-{uuid.uuid4().hex[:5]}"
        manifest = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": name,
                "namespace": namespace,
                "labels": attempt_labels("tiny", stage, attempt) | {JOB_UID: uid},
                "annotations": annotations,
            },
            "spec": {"nodeName": node.name, "containers": [{"name": "trainer", "image": "paft-trainer:0.1.0"}]},
        }
        pod = kubernetes.create(manifest)
        set_status(kubernetes, pod, status)
        return name

    return make


def set_status(kubernetes: KubernetesClient, pod: Object, status: Callable[[Object], Object]) -> None:
    metadata = pod["metadata"]
    kubernetes.patch(
        POD,
        metadata["name"],
        metadata["namespace"],
        {"status": status(pod)},
        subresource="status",
        content_type=STRATEGIC_MERGE,
    )


def waiting(pod: Object) -> Object:
    return pod_statuses.waiting(pod, reason="ImagePullBackOff", message="no such image")


def ended(pod: Object) -> Object:
    return pod_statuses.ended(pod, pod_statuses.ContainerEnd(exit_code=65), started_at=pod_statuses.now())


def test_the_newest_attempt_s_first_pod_is_meant(
    paft: CommandLine, written: WrittenJobs, node: LogNode, make_pod: MakePod
) -> None:
    written.create(training())
    pods = {(attempt, index): make_pod(StageName.SFT, attempt, index) for attempt in (1, 2) for index in (1, 0)}
    for (attempt, index), pod in pods.items():
        node.write(pod, f"attempt {attempt}, pod {index}: Grüße")

    assert paft("logs", "sft", "tiny") == (0, "attempt 2, pod 0: Grüße\n", "")
    assert node.requests == [f"/containerLogs/{written.namespace}/{pods[2, 0]}/trainer"]
    assert paft("logs", "sft", "tiny", "--index", "1").out == "attempt 2, pod 1: Grüße\n"
    assert paft("logs", "sft", "tiny", "--attempt", "1", "--index", "1").out == "attempt 1, pod 1: Grüße\n"

    wrong = paft("logs", "sft", "tiny", "--index", "7")
    assert (wrong.code, wrong.err) == (2, "sft attempt 2 of tiny has no pod with index 7; there are: 0, 1\n")
    wrong = paft("logs", "sft", "tiny", "--attempt", "9")
    assert (wrong.code, wrong.err) == (2, "sft of tiny has no attempt 9; its newest is 2\n")


def test_the_log_of_a_pod_that_has_ended(
    paft: CommandLine, written: WrittenJobs, node: LogNode, make_pod: MakePod
) -> None:
    written.create(failed())
    node.write(make_pod(StageName.SFT, 2, 0, status=ended), "out of memory")

    assert paft("logs", "sft", "tiny").out == "out of memory\n"


def test_prepare_has_one_pod_without_an_index(
    paft: CommandLine, written: WrittenJobs, node: LogNode, make_pod: MakePod
) -> None:
    written.create(training())
    node.write(make_pod(StageName.PREPARE, 1), "all is well")

    assert paft("logs", "prepare", "tiny").out == "all is well\n"


def test_pods_of_an_earlier_job_of_the_same_name_are_not_meant(
    paft: CommandLine, written: WrittenJobs, node: LogNode, make_pod: MakePod
) -> None:
    written.create(training())
    node.write(make_pod(StageName.SFT, 3, 0, job_uid="earlier"), "of the earlier job")
    node.write(make_pod(StageName.SFT, 2, 0), "of this job")

    assert paft("logs", "sft", "tiny").out == "of this job\n"


def test_follow_waits_for_the_pod_and_goes_on_until_it_has_ended(
    paft: CommandLine, written: WrittenJobs, node: LogNode, make_pod: MakePod, kubernetes: KubernetesClient
) -> None:
    written.create(training())
    pod = make_pod(StageName.SFT, 2, 0, status=waiting)

    process = paft.start("logs", "sft", "tiny", "--follow")
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stderr.readline() == (f"pod {pod} has not started: ImagePullBackOff: no such image; waiting\n")
    set_status(kubernetes, kubernetes.get(POD, pod, written.namespace), pod_statuses.started)
    node.write(pod, "step 1")
    assert process.stdout.readline() == "step 1\n"
    node.write(pod, "step 2")
    assert process.stdout.readline() == "step 2\n"
    node.finish(pod)
    with process:
        assert process.wait(30) == 0
    assert node.requests[0].endswith("/trainer?follow=true")


def test_a_pod_that_has_not_started_has_no_log_yet(paft: CommandLine, written: WrittenJobs, make_pod: MakePod) -> None:
    written.create(training())
    pod = make_pod(StageName.SFT, 2, 0, status=waiting)

    ended = paft("logs", "sft", "tiny")

    assert (ended.code, ended.err) == (
        2,
        f"pod {pod} has not started: ImagePullBackOff: no such image; --follow waits for it\n",
    )


def test_pods_that_are_gone_are_told_with_those_that_are_left(
    paft: CommandLine, written: WrittenJobs, make_pod: MakePod
) -> None:
    written.create(failed())
    make_pod(StageName.SFT, 2, 0)

    ended = paft("logs", "sft", "tiny", "--attempt", "1")

    assert ended.code == 2
    assert ended.err.startswith("the pods of sft attempt 1 of tiny are gone, and their logs with them: ")
    assert "Attempts that still have pods: 2." in ended.err
    assert "the pods of preference attempt 1 of tiny are gone" in paft("logs", "preference", "tiny").err


@pytest.mark.parametrize(
    ("status", "stage", "why"),
    [
        (training(), "merge", "merge of tiny has not started yet; the job is Training; --follow waits for it"),
        (training(), "sft", "sft attempt 2 of tiny has no pod yet; --follow waits for it"),
        (failed(), "merge", "merge of tiny never started, so it has no log: the job has failed"),
        (
            PaftJobStatus(
                observed_generation=1,
                stages=(
                    prepared(),
                    StageStatus(name=StageName.SFT, state=StageState.SUCCEEDED, message="found finished"),
                ),
            ),
            "sft",
            "sft of tiny never ran, so it has no log: found finished",
        ),
    ],
)
def test_a_stage_without_pods(
    paft: CommandLine, written: WrittenJobs, status: PaftJobStatus, stage: str, why: str
) -> None:
    written.create(status)

    assert paft("logs", stage, "tiny") == (2, "", f"{why}\n")


def test_a_node_that_does_not_answer(
    paft: CommandLine, written: WrittenJobs, node: LogNode, make_pod: MakePod, kubernetes: KubernetesClient
) -> None:
    written.create(training())
    pod = make_pod(StageName.SFT, 2, 0)
    kubernetes.patch(
        NODE, node.name, None, {"status": {"daemonEndpoints": {"kubeletEndpoint": {"Port": 1}}}}, subresource="status"
    )
    wait_until(lambda: f"the log of pod {pod} cannot be had from node {node.name}" in paft("logs", "sft", "tiny").err)

    ended = paft("logs", "sft", "tiny")

    assert (ended.code, ended.out) == (2, "")
    assert "connection refused" in ended.err
    assert f"kubectl get node {node.name}" in ended.err


def test_an_index_is_for_pods(paft: CommandLine) -> None:
    ended = paft("logs", "sft", "job.yaml", "--index", "1")

    assert (ended.code, ended.err) == (
        2,
        "--index is for pods in a cluster: all processes on this machine write to one log\n",
    )
