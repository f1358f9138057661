"""scheduling.queueName: everything that has pods waits in a queue, goes where it says, and gives its place up."""

from contextlib import suppress
from functools import partial

import pytest
from hack.control_plane.client import JOB, POD, Object
from kubernetes.client.exceptions import ApiException
from tests.paft_operator.cluster_jobs import condition, stage
from tests.paft_operator.life_cycle.place import Place
from tests.paft_operator.life_cycle.played_queue import PlayedQueue
from tests.paft_operator.played_stages import stage as play

pytestmark = pytest.mark.slow

QUEUE_NAME = "kueue.x-k8s.io/queue-name"
NO_ROOM = "couldn't assign flavors to pod set main: insufficient unused quota for nvidia.com/gpu in flavor a100"


def _queued(spec: Object) -> None:
    spec["scheduling"] = {"queueName": "team-a", "backend": "jobs"}


def _is_held_back(place: Place, stage_name: str, attempt: int = 1) -> bool:
    job = place.kubernetes.find(JOB, place.name_of(stage_name, attempt), place.namespace)
    return job is not None and job["spec"]["suspend"] and job["metadata"]["labels"][QUEUE_NAME] == "team-a"


def _admitted(place: Place, queue: PlayedQueue, stage_name: str, attempt: int = 1) -> None:
    place.eventually(partial(_is_held_back, place, stage_name, attempt), f"{stage_name} is not held back")
    queue.admit(place.name_of(stage_name, attempt))


def test_everything_waits_and_is_told_why(place: Place) -> None:
    queue = PlayedQueue(place.kubernetes, place.namespace)
    place.create(_queued)
    place.eventually(partial(_is_held_back, place, "prepare"), "prepare is not held back")
    queue.tell(place.name_of("prepare"), QuotaReserved=("False", "Pending", NO_ROOM))
    job = place.wait(lambda status: NO_ROOM in condition(status, "Queued").get("message", ""))
    assert condition(job, "Queued")["status"] == "True"
    assert condition(job, "Queued")["reason"] == "Pending"
    assert place.kubernetes.list(POD, place.namespace) == []

    queue.admit(place.name_of("prepare"), pool="a100")
    for arm in ("sft", "preference"):
        _admitted(place, queue, arm)
    _admitted(place, queue, "merge")
    job = place.wait_for_phase("Succeeded")

    assert condition(job, "Queued")["status"] == "False"
    assert [(one["attempt"], one["failures"]) for one in job["status"]["stages"]] == [(1, 0)] * 4
    assert place.job_of("prepare")["spec"]["template"]["spec"]["nodeSelector"] == {"pool": "a100"}


def test_an_arm_that_is_evicted_saves_and_goes_on_when_it_is_admitted_again(place: Place) -> None:
    queue = PlayedQueue(place.kubernetes, place.namespace)
    place.play(play(600), "sft", 1)
    place.create(_queued)
    for stage_name in ("prepare", "sft", "preference"):
        _admitted(place, queue, stage_name)
    place.wait_for_progress("sft")
    place.wait_for_stage("preference", "Succeeded")

    queue.evict(place.name_of("sft"))
    queue.tell(place.name_of("sft"), Evicted=("True", "Preempted", "Preempted to accommodate a higher priority"))
    job = place.wait(lambda status: condition(status, "Queued").get("status") == "True")
    assert stage(job, "preference")["state"] == "Succeeded"
    place.play(play())
    place.eventually(lambda: _admit_what_waits(place, queue), "nothing waits any more")
    job = place.wait_for_phase("Succeeded")

    assert stage(job, "sft")["failures"] == 0
    assert stage(job, "preference")["attempt"] == 1


def test_an_arm_that_is_admitted_again_while_it_still_saves_goes_on_and_nothing_is_counted(place: Place) -> None:
    queue = PlayedQueue(place.kubernetes, place.namespace)
    place.play(play(600, save_seconds=3), "sft", 1)
    place.create(_queued)
    for stage_name in ("prepare", "sft", "preference"):
        _admitted(place, queue, stage_name)
    place.wait_for_progress("sft")
    place.wait_for_stage("preference", "Succeeded")

    queue.evict(place.name_of("sft"))
    queue.admit(place.name_of("sft"))
    place.play(play())
    place.eventually(lambda: _admit_what_waits(place, queue), "nothing waits any more")
    job = place.wait_for_phase("Succeeded")

    assert stage(job, "sft")["failures"] == 0
    assert stage(job, "preference")["attempt"] == 1


def _admit_what_waits(place: Place, queue: PlayedQueue) -> bool:
    """Until all is over."""
    for job in place.kubernetes.list(JOB, place.namespace):
        if job["spec"].get("suspend") and "deletionTimestamp" not in job["metadata"]:
            # It may be gone in this very moment.
            with suppress(ApiException):
                queue.admit(job["metadata"]["name"])
    return bool(place.get()["status"]["phase"] == "Succeeded")


def test_a_job_that_is_suspended_while_it_waits_waits_again(place: Place) -> None:
    queue = PlayedQueue(place.kubernetes, place.namespace)
    place.create(_queued)
    _admitted(place, queue, "prepare")
    for arm in ("sft", "preference"):
        place.eventually(partial(_is_held_back, place, arm), f"{arm} is not held back")
    place.change({"runPolicy": {"suspend": True}})
    place.wait_for_phase("Suspended")
    place.eventually(lambda: place.children(JOB) == ["Job prepare-1"], "Jobs are still there")

    place.change({"runPolicy": {"suspend": False}})
    place.eventually(lambda: _admit_what_waits(place, queue), "nothing waits any more")
    job = place.wait_for_phase("Succeeded")
    assert [stage(job, arm)["failures"] for arm in ("sft", "preference")] == [0, 0]
