"""What is tried again: by itself, and when it is asked for."""

import threading
import time

import pytest
from hack.control_plane.client import JOB
from tests.paft_operator.cluster_jobs import condition, stage
from tests.paft_operator.life_cycle.place import Place
from tests.paft_operator.life_cycle.scripts import acting, after
from tests.paft_operator.played_stages import failing_stage
from tests.paft_operator.played_stages import stage as play
from tests.played_pods import PlayedPod

from paft_api.causes import CAUSE_FACTS, Cause

pytestmark = pytest.mark.slow


def test_a_failed_arm_is_tried_again_alone(place: Place) -> None:
    place.play(failing_stage(Cause.HOST_OOM, step=4), "sft", 1)
    place.create()
    waiting = place.wait_for_stage("sft", "Waiting")
    job = place.wait_for_phase("Succeeded")

    told = stage(waiting, "sft")
    assert told["cause"] == "HostOOM"
    assert condition(waiting, "SftSucceeded") | {"lastTransitionTime": None} == {
        "type": "SftSucceeded",
        "status": "Unknown",
        "reason": "WaitingToRetry",
        "message": told["message"],
        "observedGeneration": 1,
        "lastTransitionTime": None,
    }
    assert told["message"].endswith(CAUSE_FACTS[Cause.HOST_OOM].remedy)
    assert _attempts(job) == {"prepare": (1, 0), "sft": (2, 1), "preference": (1, 0), "merge": (1, 0)}


def test_failures_are_counted_up_to_the_limit(place: Place) -> None:
    place.play(failing_stage(Cause.COLLECTIVE_TIMEOUT), "sft")
    place.create(backoffLimit=2)
    job = place.wait_for_phase("Failed")

    assert _attempts(job)["sft"] == (3, 3)
    assert condition(job, "Failed")["reason"] == "CollectiveTimeout"
    place.eventually(lambda: [reason for _, reason, _ in place.events()].count("SftFailed") == 3)


def test_disruptions_that_brought_a_checkpoint_do_not_count(place: Place) -> None:
    place.play(acting(PlayedPod.be_preempted, step=2, seconds=0.3), "sft", 1)
    place.play(acting(PlayedPod.lose_node, step=4, seconds=0.3), "sft", 2)
    place.create(backoffLimit=0)
    job = place.wait_for_phase("Succeeded")

    assert _attempts(job)["sft"] == (3, 0)


def test_a_disruption_without_a_new_checkpoint_counts(place: Place) -> None:
    place.play(acting(PlayedPod.be_preempted, step=4, seconds=0.3), "sft", 1)
    place.play(acting(PlayedPod.be_preempted, step=4, seconds=0.3), "sft", 2)
    place.create(backoffLimit=0)
    job = place.wait_for_phase("Failed")

    assert _attempts(job)["sft"] == (2, 1)
    assert condition(job, "Failed")["reason"] == "Preempted"


def test_a_permanent_failure_stops_the_other_arm_after_it_has_saved(place: Place) -> None:
    gate = threading.Event()
    place.play(after(gate, failing_stage(Cause.DIVERGED)), "preference")
    place.play(play(600, save_seconds=0.5), "sft")
    place.create()
    place.wait_for_progress("sft")
    gate.set()
    place.wait_for_phase("Failed")
    job = place.wait_for_stage("sft", "Stopped")

    assert condition(job, "Failed")["reason"] == "Diverged"
    assert condition(job, "Stalled")["status"] == "True"
    assert place.children(JOB) == ["Job preference-1", "Job prepare-1"]


def test_a_retry_is_acted_on_once_per_value(place: Place) -> None:
    gate = threading.Event()
    place.play(after(gate, failing_stage(Cause.DIVERGED)), "preference")
    place.create(backoffLimit=0)
    place.wait_for_stage("sft", "Succeeded")
    gate.set()
    failed = place.wait_for_phase("Failed")

    place.ask_for_retry("one")
    again = place.wait(lambda status: status.get("retryToken") == "one" and status["phase"] == "Failed")
    assert _attempts(again) == _attempts(failed) | {"preference": (2, 1)}

    # The same value again, as GitOps tools write it, and a change that is none.
    place.ask_for_retry("one")
    place.jobs.change({"metadata": {"labels": {"touched": "yes"}}}, place.name)
    time.sleep(2)
    assert place.get()["status"] == again["status"]

    place.play(play(), "preference")
    place.ask_for_retry("two")
    job = place.wait_for_phase("Succeeded")
    assert _attempts(job) == {"prepare": (1, 0), "sft": (1, 0), "preference": (3, 0), "merge": (1, 0)}
    assert job["status"]["retryToken"] == "two"


def test_a_retry_that_is_asked_for_too_early_does_nothing(place: Place) -> None:
    place.play(play(600), "sft", 1)
    place.create()
    place.wait_for_progress("sft")
    uid = place.job_of("sft")["metadata"]["uid"]

    place.ask_for_retry("early")
    place.wait(lambda status: status.get("retryToken") == "early")

    time.sleep(1)
    assert place.job_of("sft")["metadata"]["uid"] == uid
    assert place.children(JOB).count("Job sft-1") == 1
    assert "Job sft-2" not in place.children(JOB)


def _attempts(job: dict[str, object]) -> dict[str, tuple[int, int]]:
    status = job["status"]
    assert isinstance(status, dict)
    return {one["name"]: (one["attempt"], one["failures"]) for one in status["stages"]}
