"""Each cause that Kubernetes can show: in condition and Event, with pod, node, exit code, words and remedy."""

import re
from dataclasses import dataclass

import pytest
from hack.control_plane.client import JOB, Object
from tests.paft_operator.cluster_jobs import condition, stage
from tests.paft_operator.life_cycle.place import Place
from tests.paft_operator.life_cycle.scripts import acting, by_index, exiting, leaving_message, without_result
from tests.paft_operator.played_stages import failing_stage
from tests.paft_operator.played_stages import stage as play
from tests.played_pods import (
    PlayedPod,
    PodTerminated,
    Script,
    Steps,
    unschedulable_until_deleted,
    without_image_until_deleted,
)
from tests.pod_statuses import ContainerEnd

from paft_api.causes import CAUSE_FACTS, Cause
from paft_api.conditions import EXITED_WITHOUT_RESULT
from paft_operator.observing.failures import DELETED_MESSAGE, MISSING_REFERENCE_REMEDY, WRONG_IMAGE_REMEDY

pytestmark = pytest.mark.slow


@dataclass(frozen=True, kw_only=True, slots=True)
class End:
    """How the only pod of a stage ends, and what is to be said of it. `message`: a pattern; POD stands for the pod."""

    script: Script
    cause: Cause
    message: str
    remedy: str = ""


DEADLINE = 8
"""Seconds: long enough for a busy machine to say what a pod waits for, which is told with the deadline."""
PAST_DEADLINE = f"prepare attempt 1: not all of its pods ran within {DEADLINE} s. "
POD = r"pod {name}-\S+ on node node-0"
GARBAGE = 'Fatal Python error: Segmentation fault\n\x1b[31m{"cause": \x00\ufffd'

ENDS = {
    "the kernel kills process 1": End(
        script=acting(PlayedPod.be_oom_killed),
        cause=Cause.HOST_OOM,
        message=f"{POD} ended with exit code 137 \\(OOMKilled\\)",
    ),
    "killed without a reason": End(
        script=exiting(137),
        cause=Cause.UNKNOWN,
        message=f"{POD} ended with exit code 137: it was killed \\(SIGKILL\\), and left no message",
    ),
    "an exit code of nobody": End(
        script=exiting(3, message="Traceback (most recent call last):\nKeyError: 'x'\n"),
        cause=Cause.UNKNOWN,
        message=f"{POD} ended with exit code 3; its last lines were: Traceback .*\nKeyError: 'x'",
    ),
    "a garbage termination message": End(
        script=exiting(139, message=GARBAGE),
        cause=Cause.UNKNOWN,
        message=f"{POD} ended with exit code 139; its last lines were: Fatal Python error: Segmentation fault\n",
    ),
    "a termination message of another kind": End(
        script=exiting(80, message='{"cause": ["CudaOOM"], "message": 7}'),
        cause=Cause.CUDA_OOM,
        message=f"{POD} ended with exit code 80; its last lines were: ",
    ),
    "an image without the program": End(
        script=exiting(128, reason="StartError", message='exec: "python": executable file not found in $PATH'),
        cause=Cause.CONFIG_INVALID,
        message=f'{POD} ended with exit code 128; its last lines were: exec: "python": executable file not found',
        remedy=WRONG_IMAGE_REMEDY,
    ),
    "stopped by somebody else": End(
        script=exiting(143),
        cause=Cause.PREEMPTED,
        message=f"{POD} was asked to stop by somebody else, and saved",
    ),
    "exit code 0 without a result": End(
        script=without_result,
        cause=Cause.UNKNOWN,
        message=re.escape(EXITED_WITHOUT_RESULT),
    ),
    "preempted by the scheduler": End(
        script=acting(PlayedPod.be_preempted),
        cause=Cause.PREEMPTED,
        message=f"{POD}: node-0: preempting to accommodate a higher priority pod",
    ),
    "evicted through the API": End(
        script=acting(lambda pod: _disrupted(pod, "EvictionByEvictionAPI", "Eviction API: evicting")),
        cause=Cause.PREEMPTED,
        message=f"{POD}: Eviction API: evicting",
    ),
    "a tainted node": End(
        script=acting(
            lambda pod: _disrupted(pod, "DeletionByTaintManager", "Taint manager: deleting due to NoExecute")
        ),
        cause=Cause.NODE_LOST,
        message=f"{POD}: Taint manager: deleting due to NoExecute",
    ),
    "a lost node": End(
        script=acting(PlayedPod.lose_node),
        cause=Cause.NODE_LOST,
        message=f"{POD}: PodGC: node no longer exists",
    ),
    "a node short of memory": End(
        script=acting(lambda pod: pod.be_evicted("The node was low on resource: memory.")),
        cause=Cause.PREEMPTED,
        message=f"{POD}: The node was low on resource: memory.",
    ),
    "a pod that fills its disk": End(
        script=acting(lambda pod: pod.be_evicted("Pod ephemeral local storage usage exceeds the total limit of 1Gi.")),
        cause=Cause.DISK_FULL,
        message=f"{POD}: Pod ephemeral local storage usage exceeds the total limit of 1Gi.",
    ),
    "a node that shuts down": End(
        script=acting(
            lambda pod: pod.end(
                ContainerEnd(exit_code=137, pod_reason="Terminated", pod_message="Pod was terminated in response to")
            )
        ),
        cause=Cause.NODE_LOST,
        message=f"{POD}: Pod was terminated in response to",
    ),
}
LAUNCHER_CAUSES = [cause for cause in Cause if cause not in (Cause.IMAGE_PULL, Cause.UNSCHEDULABLE)]


@pytest.mark.parametrize("how", ENDS)
def test_an_end_is_told_in_condition_and_event(place: Place, how: str) -> None:
    end = ENDS[how]
    place.play(end.script, "prepare")
    place.create(backoffLimit=0)
    job = place.wait_for_phase("Failed")

    _require_told(place, job, "prepare", end.cause, end.message, end.remedy)


@pytest.mark.parametrize("cause", LAUNCHER_CAUSES)
def test_a_cause_of_the_launcher_is_told(place: Place, cause: Cause) -> None:
    """In turns with a report and a termination message, with a termination message only, and with an exit code only."""
    code = CAUSE_FACTS[cause].exit_code
    scripts, words = zip(
        (failing_stage(cause), ": as scripted"),
        (leaving_message(cause), f": {cause} it was"),
        (exiting(code), ""),
        strict=True,
    )
    turn = LAUNCHER_CAUSES.index(cause) % len(scripts)
    place.play(scripts[turn], "prepare")
    place.create(backoffLimit=0)
    job = place.wait_for_phase("Failed")

    _require_told(place, job, "prepare", cause, f"{POD} ended with exit code {code}{words[turn]}", "")


def test_peers_that_were_lost_do_not_hide_what_came_first(place: Place) -> None:
    """The pod of rank 0 is seen first, as it lost its peer; that was killed, which its node tells later."""
    place.play(by_index(failing_stage(Cause.PEER_LOST), _killed_unseen), "sft")
    place.play(play(600), "preference")
    place.create(_two_nodes, backoffLimit=0)
    job = place.wait_for_phase("Failed")

    _require_told(place, job, "sft", Cause.HOST_OOM, r"pod {name}-1-\S+ on node node-1 ended with exit code 137", "")


def test_a_lost_peer_alone_is_told_as_such(place: Place) -> None:
    place.play(by_index(failing_stage(Cause.PEER_LOST), play(600)), "sft")
    place.play(play(600), "preference")
    place.create(_two_nodes, backoffLimit=0)
    job = place.wait_for_phase("Failed")

    _require_told(place, job, "sft", Cause.PEER_LOST, r"pod {name}-0-\S+ on node node-0 ended with exit code 67", "")


def test_a_disruption_comes_before_the_failures_it_brings_about(place: Place) -> None:
    place.play(by_index(acting(PlayedPod.lose_node), failing_stage(Cause.COLLECTIVE_TIMEOUT)), "sft")
    place.play(play(600), "preference")
    place.create(_two_nodes, backoffLimit=0)
    job = place.wait_for_phase("Failed")

    _require_told(place, job, "sft", Cause.NODE_LOST, r"pod {name}-0-\S+ on node node-0: PodGC", "")


def test_an_image_that_cannot_be_pulled_ends_the_job_after_its_deadline(place: Place) -> None:
    place.play(without_image_until_deleted, "prepare")
    place.create(pendingDeadlineSeconds=DEADLINE)
    waiting = place.wait(lambda status: stage(status, "prepare").get("message"))
    job = place.wait_for_phase("Failed")

    assert re.match(_of(place, "prepare", f"{POD}: the image cannot be pulled"), stage(waiting, "prepare")["message"])
    assert condition(job, "Failed")["reason"] == "ImagePull"
    pattern = f"{PAST_DEADLINE}{POD}: the image cannot be pulled: ImagePullBackOff"
    assert re.match(_of(place, "prepare", pattern), condition(job, "Failed")["message"])
    assert condition(job, "Failed")["message"].endswith(CAUSE_FACTS[Cause.IMAGE_PULL].remedy)


def test_a_pod_that_fits_nowhere_ends_the_job_after_its_deadline(place: Place) -> None:
    place.play(unschedulable_until_deleted, "prepare")
    place.create(pendingDeadlineSeconds=DEADLINE)
    job = place.wait_for_phase("Failed")

    assert condition(job, "Failed")["reason"] == "Unschedulable"
    pattern = PAST_DEADLINE + r"pod {name}-\S+: 0/1 nodes are available"
    assert re.match(_of(place, "prepare", pattern), condition(job, "Failed")["message"])
    assert condition(job, "Failed")["message"].endswith(CAUSE_FACTS[Cause.UNSCHEDULABLE].remedy)


def test_a_secret_that_is_missing_ends_the_job_after_its_deadline(place: Place) -> None:
    place.play(_without_its_secret, "prepare")
    place.create(pendingDeadlineSeconds=DEADLINE)
    job = place.wait_for_phase("Failed")

    assert condition(job, "Failed")["reason"] == "ConfigInvalid"
    assert 'CreateContainerConfigError: secret "s3" not found' in condition(job, "Failed")["message"]
    assert condition(job, "Failed")["message"].endswith(MISSING_REFERENCE_REMEDY)


def test_a_job_that_somebody_deletes_is_started_anew(place: Place) -> None:
    place.play(play(600), "sft", 1)
    place.create()
    place.wait_for_progress("sft")
    place.kubernetes.delete(JOB, place.name_of("sft"), place.namespace, propagation="Foreground")
    kind, message = place.wait_for_event("SftFailed")
    job = place.wait_for_phase("Succeeded")

    remedy = CAUSE_FACTS[Cause.PREEMPTED].remedy
    assert (kind, message) == ("Warning", f"sft attempt 1 failed: Preempted: {DELETED_MESSAGE} {remedy}")
    assert (stage(job, "sft")["attempt"], stage(job, "sft")["failures"]) == (2, 0)


def _require_told(place: Place, job: Object, stage_name: str, cause: Cause, message: str, remedy: str) -> None:
    pattern = _of(place, stage_name, message)
    entry, failed = stage(job, stage_name), condition(job, "Failed")
    assert (entry["state"], entry["cause"], failed["status"], failed["reason"]) == ("Failed", cause, "True", cause)
    assert re.match(pattern, entry["message"]), entry["message"]
    assert failed["message"] == f"{stage_name}: {entry['message']}"
    assert entry["message"].endswith(remedy or CAUSE_FACTS[cause].remedy)
    assert condition(job, "Stalled") | {"type": "Failed"} == failed | {"type": "Failed"}
    title = stage_name.capitalize()
    assert place.wait_for_event(f"{title}Failed") == (
        "Warning",
        f"{stage_name} attempt 1 failed: {cause}: {entry['message']}"[:1024],
    )
    assert place.wait_for_event("JobFailed") == ("Warning", f"{cause}: {failed['message']}"[:1024])


def _disrupted(pod: PlayedPod, reason: str, message: str) -> None:
    """As by whoever deletes a pod through the API: the kubelet ends it, and it has time to save."""
    pod.be_disrupted(reason, message)
    pod.fail(143)


def _killed_unseen(pod: PlayedPod) -> Steps:
    """Its containers have ended before anybody asks it to stop, and its status says so only then."""
    pod.schedule()
    pod.start()
    try:
        yield 600.0
    except PodTerminated:
        pod.be_oom_killed()


def _without_its_secret(pod: PlayedPod) -> Steps:
    pod.schedule()
    pod.wait_for_image('secret "s3" not found', reason="CreateContainerConfigError")
    yield from ()


def _two_nodes(spec: Object) -> None:
    spec["sft"]["resources"] |= {"nodes": 2}


def _of(place: Place, stage_name: str, pattern: str) -> str:
    return pattern.replace("{name}", re.escape(place.name_of(stage_name)))
