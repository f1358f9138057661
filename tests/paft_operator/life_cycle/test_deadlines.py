"""activeDeadlineSeconds and pendingDeadlineSeconds: what counts, and what does not."""

import time

import pytest
from hack.control_plane.client import JOB
from tests.paft_operator.cluster_jobs import condition, stage
from tests.paft_operator.life_cycle.place import Place
from tests.paft_operator.played_stages import stage as play
from tests.played_pods import unschedulable_until_deleted

from paft_api.causes import CAUSE_FACTS, Cause

pytestmark = pytest.mark.slow


def test_a_job_that_runs_too_long_fails_and_saves(place: Place) -> None:
    place.play(play(600), "sft")
    place.play(play(600), "preference")
    place.create(activeDeadlineSeconds=4)
    job = place.wait_for_phase("Failed")
    place.wait_for_stage("sft", "Stopped")
    place.wait_for_stage("preference", "Stopped")

    remedy = CAUSE_FACTS[Cause.DEADLINE_EXCEEDED].remedy
    told = (condition(job, "Failed")["reason"], condition(job, "Failed")["message"])
    assert told == ("DeadlineExceeded", f"Attempts ran for more than 4 s. {remedy}")
    assert place.children(JOB) == ["Job prepare-1"]
    assert place.wait_for_event("JobFailed")[0] == "Warning"


def test_time_without_running_pods_is_not_running_time(place: Place) -> None:
    """Suspended, and waiting for a node."""
    place.play(unschedulable_until_deleted, "prepare", 1)
    place.create(activeDeadlineSeconds=20)
    place.wait_for_stage("prepare", "Running")
    time.sleep(3)
    place.change({"runPolicy": {"suspend": True}})
    place.wait_for_phase("Suspended")
    time.sleep(3)
    place.change({"runPolicy": {"suspend": False}})
    job = place.wait_for_phase("Succeeded")

    assert job["status"]["activeSeconds"] < 20


def test_suspended_time_is_not_pending_time(place: Place) -> None:
    place.play(unschedulable_until_deleted, "prepare", 1)
    place.create(pendingDeadlineSeconds=12)
    place.wait_for_stage("prepare", "Running")
    place.change({"runPolicy": {"suspend": True}})
    place.wait_for_phase("Suspended")
    time.sleep(14)
    place.change({"runPolicy": {"suspend": False}})
    job = place.wait_for_phase("Succeeded")

    assert stage(job, "prepare")["attempt"] == 2


def test_time_in_a_queue_is_not_pending_time(place: Place) -> None:
    """A queue controller suspends a Job until it has room for it."""
    place.play(unschedulable_until_deleted, "prepare", 1)
    place.create(pendingDeadlineSeconds=12)
    place.wait_for_stage("prepare", "Running")
    _hold_back(place, "prepare", suspend=True)
    queued = place.wait(lambda status: condition(status, "Queued").get("status") == "True")
    place.play(play(), "prepare", 1)
    time.sleep(14)
    _hold_back(place, "prepare", suspend=False)
    job = place.wait_for_phase("Succeeded")

    assert condition(queued, "Queued")["reason"] == "WaitingForAdmission"
    assert condition(job, "Queued")["status"] == "False"
    assert stage(job, "prepare")["attempt"] == 1


def _hold_back(place: Place, stage_name: str, *, suspend: bool) -> None:
    place.kubernetes.patch(JOB, place.name_of(stage_name), place.namespace, {"spec": {"suspend": suspend}})
