"""Why attempts fail: one row per way in which pods and Jobs show it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.paft_operator.observing.records_of import (
    ended_pod,
    failure_told,
    job_of,
    pod_of,
    stage_report,
    told_by_launcher,
)

from paft_api.causes import CAUSE_FACTS, EXIT_STOPPED, Cause
from paft_api.report import Failure
from paft_operator.observing.failures import (
    MISSING_REFERENCE_REMEDY,
    WRONG_IMAGE_REMEDY,
    failure_of_attempt,
    failure_of_deleted_job,
    has_all_evidence,
    pending_failure,
)
from paft_operator.observing.records import JobState, PodRecord

FAILED = job_of(state=JobState.FAILED)


def _disrupted(by: str, **fields: Any) -> PodRecord:
    return ended_pod(143, disruption_reason=by, disruption_message=f"{by} did it", **fields)


ONE_POD: dict[str, tuple[PodRecord, Cause, str]] = {
    "killed by the kernel": (
        ended_pod(137, terminated_reason="OOMKilled"),
        Cause.HOST_OOM,
        "pod tiny-sft-1-0 on node node-1 ended with exit code 137 (OOMKilled)",
    ),
    "the kernel killed a rank": (
        ended_pod(65, told=told_by_launcher(Cause.HOST_OOM, "rank 3 was killed", code=65)),
        Cause.HOST_OOM,
        "pod tiny-sft-1-0 on node node-1 ended with exit code 65: rank 3 was killed",
    ),
    **{
        f"exit code {facts.exit_code} without a message": (
            ended_pod(facts.exit_code),
            cause,
            f"pod tiny-sft-1-0 on node node-1 ended with exit code {facts.exit_code}",
        )
        for cause, facts in CAUSE_FACTS.items()
    },
    "an exit code of nobody": (
        ended_pod(1, told="Traceback:\n  boom\n"),
        Cause.UNKNOWN,
        "pod tiny-sft-1-0 on node node-1 ended with exit code 1; its last lines were: Traceback:\n  boom",
    ),
    "a code of ours and the last lines of the log": (
        ended_pod(84, told="row 7 of chats.jsonl is not JSON"),
        Cause.DATA_INVALID,
        "pod tiny-sft-1-0 on node node-1 ended with exit code 84; its last lines were: "
        "row 7 of chats.jsonl is not JSON",
    ),
    "a cause that this version does not know": (
        ended_pod(71, told=told_by_launcher("Sunspots", "too many", code=71)),
        Cause.DISK_FULL,
        "pod tiny-sft-1-0 on node node-1 ended with exit code 71: too many",
    ),
    "killed without a word": (
        ended_pod(137),
        Cause.UNKNOWN,
        "pod tiny-sft-1-0 on node node-1 ended with exit code 137: it was killed (SIGKILL), and left no message",
    ),
    "deleted by somebody, saved": (
        ended_pod(143),
        Cause.PREEMPTED,
        "pod tiny-sft-1-0 on node node-1 was asked to stop by somebody else, and saved",
    ),
    "no such program": (
        ended_pod(128, terminated_reason="StartError", told='exec: "python": not found'),
        Cause.CONFIG_INVALID,
        'pod tiny-sft-1-0 on node node-1 ended with exit code 128; its last lines were: exec: "python": not found',
    ),
    "preempted": (
        _disrupted("PreemptionByScheduler"),
        Cause.PREEMPTED,
        "pod tiny-sft-1-0 on node node-1: PreemptionByScheduler did it",
    ),
    "drained": (
        _disrupted("EvictionByEvictionAPI"),
        Cause.PREEMPTED,
        "pod tiny-sft-1-0 on node node-1: EvictionByEvictionAPI did it",
    ),
    "evicted as its node ran out": (
        _disrupted("TerminationByKubelet", reason="Evicted", message="The node was low on resource: memory."),
        Cause.PREEMPTED,
        "pod tiny-sft-1-0 on node node-1: The node was low on resource: memory.",
    ),
    "evicted for its own use of disk": (
        _disrupted(
            "TerminationByKubelet",
            reason="Evicted",
            message="Pod ephemeral local storage usage exceeds the total limit of containers 1Gi.",
        ),
        Cause.DISK_FULL,
        "pod tiny-sft-1-0 on node node-1: Pod ephemeral local storage usage exceeds the total limit of containers 1Gi.",
    ),
    "evicted for a volume of its own": (
        _disrupted(
            "TerminationByKubelet", reason="Evicted", message='Usage of EmptyDir volume "tmp" exceeds the limit "1Gi".'
        ),
        Cause.DISK_FULL,
        'pod tiny-sft-1-0 on node node-1: Usage of EmptyDir volume "tmp" exceeds the limit "1Gi".',
    ),
    "tainted node": (
        _disrupted("DeletionByTaintManager"),
        Cause.NODE_LOST,
        "pod tiny-sft-1-0 on node node-1: DeletionByTaintManager did it",
    ),
    "node is gone": (
        pod_of(phase="Failed", node="node-1", disruption_reason="DeletionByPodGC", disruption_message="PodGC: no node"),
        Cause.NODE_LOST,
        "pod tiny-sft-1-0 on node node-1: PodGC: no node",
    ),
    "node shuts down": (
        pod_of(
            phase="Failed", node="node-1", reason="Terminated", message="Pod was terminated in response to shutdown."
        ),
        Cause.NODE_LOST,
        "pod tiny-sft-1-0 on node node-1: Pod was terminated in response to shutdown.",
    ),
    "refused by its node": (
        pod_of(phase="Failed", node="node-1", reason="OutOfcpu", message="Node didn't have enough resource: cpu"),
        Cause.PREEMPTED,
        "pod tiny-sft-1-0 on node node-1: Node didn't have enough resource: cpu",
    ),
    "failed without a reason": (
        pod_of(phase="Failed"),
        Cause.UNKNOWN,
        "pod tiny-sft-1-0 failed: it gave no reason",
    ),
}


@pytest.mark.parametrize(("pod", "cause", "message"), ONE_POD.values(), ids=ONE_POD.keys())
def test_one_pod(pod: PodRecord, cause: Cause, message: str) -> None:
    failure = failure_of_attempt(FAILED, [pod], None)

    assert (failure.cause, failure.message) == (cause, message)
    assert failure.remedy


def test_remedies_come_from_whoever_knows_best() -> None:
    by_launcher = failure_of_attempt(FAILED, [ended_pod(64, told=told_by_launcher(Cause.UNKNOWN))], None)
    wrong_image = failure_of_attempt(FAILED, [ended_pod(128, terminated_reason="StartError")], None)

    assert (by_launcher.remedy, by_launcher.rank) == ("Do so.", 3)
    assert wrong_image.remedy == WRONG_IMAGE_REMEDY


JOB_ALONE = {
    "deadline of the Job": (
        job_of(
            state=JobState.FAILED, reason="DeadlineExceeded", message="Job was active longer than specified deadline"
        ),
        Cause.DEADLINE_EXCEEDED,
    ),
    "disrupted, pods are gone": (
        job_of(
            state=JobState.FAILED,
            message="Pod team-a/tiny-sft-1-0 has condition DisruptionTarget matching FailJob rule at index 0",
        ),
        Cause.PREEMPTED,
    ),
    "exit code, pods are gone": (
        job_of(
            state=JobState.FAILED,
            message="Container trainer for pod team-a/x failed with exit code 65 matching FailJob rule at index 1",
        ),
        Cause.HOST_OOM,
    ),
    "asked to stop, pods are gone": (
        job_of(
            state=JobState.FAILED,
            message="Container trainer for pod team-a/x failed with exit code 143 matching FailJob rule at index 1",
        ),
        Cause.PREEMPTED,
    ),
    "nothing is known": (job_of(state=JobState.FAILED, reason="BackoffLimitExceeded"), Cause.UNKNOWN),
}


@pytest.mark.parametrize(("job", "cause"), JOB_ALONE.values(), ids=JOB_ALONE.keys())
def test_no_pod_is_left(job: Any, cause: Cause) -> None:
    assert failure_of_attempt(job, [], None).cause is cause


PEER_LOST = CAUSE_FACTS[Cause.PEER_LOST].exit_code
SEVERAL_PODS = {
    "the failure that came first": (
        [ended_pod(87, index=0, at=20), ended_pod(65, index=1, at=10), ended_pod(71, index=2, at=30)],
        Cause.HOST_OOM,
    ),
    "before PeerLost, however early that was": (
        [ended_pod(PEER_LOST, index=0, at=1), ended_pod(65, index=1, at=10)],
        Cause.HOST_OOM,
    ),
    "PeerLost where there is nothing else": (
        [ended_pod(PEER_LOST, index=0), ended_pod(0, index=1)],
        Cause.PEER_LOST,
    ),
    "PeerLost before peers that were then asked to stop, in the same second": (
        [ended_pod(PEER_LOST, index=0, at=10), ended_pod(EXIT_STOPPED, index=1, at=10)],
        Cause.PEER_LOST,
    ),
    "somebody's stop before peers that were lost for it": (
        [ended_pod(PEER_LOST, index=0, at=11), ended_pod(EXIT_STOPPED, index=1, at=10)],
        Cause.PREEMPTED,
    ),
    "a disruption before everything": (
        [ended_pod(65, index=0, at=1), _disrupted("PreemptionByScheduler", index=1, at=50)],
        Cause.PREEMPTED,
    ),
    "a pod that still runs says nothing": (
        [pod_of(index=0, phase="Running", node="node-1"), ended_pod(65, index=1)],
        Cause.HOST_OOM,
    ),
}


@pytest.mark.parametrize(("pods", "cause"), SEVERAL_PODS.values(), ids=SEVERAL_PODS.keys())
def test_several_pods(pods: list[PodRecord], cause: Cause) -> None:
    forwards = failure_of_attempt(FAILED, pods, None)

    assert forwards.cause is cause
    assert failure_of_attempt(FAILED, list(reversed(pods)), None) == forwards


def test_the_report_tells_more_of_the_same_failure() -> None:
    pod = ended_pod(87, told=told_by_launcher(Cause.DIVERGED, code=87))
    report = stage_report(failure=failure_told(Cause.DIVERGED))

    assert failure_of_attempt(FAILED, [pod], report) == Failure(
        cause=Cause.DIVERGED,
        message="pod tiny-sft-1-0 on node node-1 ended with exit code 87: the report said so",
        remedy="Mend it.",
        rank=1,
    )


def test_the_report_alone() -> None:
    told = failure_told(Cause.COLLAPSED)

    assert failure_of_attempt(FAILED, [], stage_report(failure=told)) == told


def test_a_disruption_is_not_explained_away_by_a_report() -> None:
    report = stage_report(failure=failure_told(Cause.PEER_LOST))

    assert failure_of_attempt(FAILED, [_disrupted("PreemptionByScheduler")], report).cause is Cause.PREEMPTED


def test_a_job_that_somebody_deleted_was_preempted() -> None:
    assert failure_of_deleted_job().cause is Cause.PREEMPTED


PENDING = {
    "image": (
        pod_of(node="node-1", waiting_reason="ImagePullBackOff", waiting_message='Back-off pulling image "nope"'),
        Cause.IMAGE_PULL,
        'pod tiny-sft-1-0 on node node-1: the image cannot be pulled: ImagePullBackOff: Back-off pulling image "nope"',
    ),
    "image that is never pulled": (
        pod_of(node="node-1", waiting_reason="ErrImageNeverPull"),
        Cause.IMAGE_PULL,
        "pod tiny-sft-1-0 on node node-1: the image cannot be pulled: ErrImageNeverPull: ErrImageNeverPull",
    ),
    "no node": (
        pod_of(unschedulable_message="0/3 nodes are available: 3 Insufficient nvidia.com/gpu."),
        Cause.UNSCHEDULABLE,
        "pod tiny-sft-1-0: 0/3 nodes are available: 3 Insufficient nvidia.com/gpu.",
    ),
    "no Secret": (
        pod_of(node="node-1", waiting_reason="CreateContainerConfigError", waiting_message='secret "s3" not found'),
        Cause.CONFIG_INVALID,
        'pod tiny-sft-1-0 on node node-1: CreateContainerConfigError: secret "s3" not found',
    ),
}


@pytest.mark.parametrize(("pod", "cause", "message"), PENDING.values(), ids=PENDING.keys())
def test_pods_that_do_not_run_yet(pod: PodRecord, cause: Cause, message: str) -> None:
    failure = pending_failure([pod_of(index=1, phase="Running"), pod])

    assert failure is not None
    assert (failure.cause, failure.message) == (cause, message)
    assert failure.remedy == (MISSING_REFERENCE_REMEDY if cause is Cause.CONFIG_INVALID else CAUSE_FACTS[cause].remedy)


def test_pods_that_are_on_their_way() -> None:
    creating = pod_of(node="node-1", waiting_reason="ContainerCreating")
    gated = pod_of(index=1, is_gated=True, unschedulable_message="gated")

    assert pending_failure([creating, gated, pod_of(index=2, phase="Running")]) is None


def test_evidence_is_complete_once_every_pod_has_ended() -> None:
    job = job_of(state=JobState.FAILED, pods=2)
    ended, running = ended_pod(65, index=0), pod_of(index=1, phase="Running")

    assert has_all_evidence(job, [ended, ended_pod(67, index=1)])
    assert not has_all_evidence(job, [ended])
    assert not has_all_evidence(job, [ended, running])


_texts = st.text(max_size=3000)
_pods = st.builds(
    pod_of,
    index=st.integers(0, 3),
    phase=st.sampled_from(["Pending", "Running", "Succeeded", "Failed", "Unknown"]),
    reason=_texts,
    message=_texts,
    waiting_reason=_texts,
    termination_message=_texts,
    exit_code=st.none() | st.integers(0, 255),
    disruption_reason=_texts | st.just("PreemptionByScheduler"),
)


@given(st.lists(_pods, max_size=4), _texts)
def test_there_is_always_an_answer_that_fits_a_status(pods: list[PodRecord], message: str) -> None:
    failure = failure_of_attempt(job_of(state=JobState.FAILED, message=message), pods, None)

    assert len(failure.message) <= 2048
    assert failure.message
    assert failure.remedy
