"""runPolicy.suspend: arms save and stop, nothing starts, and what is finished stays."""

import json

import pytest
from hack.control_plane.client import CONFIG_MAP, JOB
from tests.paft_operator.cluster_jobs import condition, stage
from tests.paft_operator.life_cycle.place import Place
from tests.paft_operator.played_stages import result
from tests.paft_operator.played_stages import stage as play
from tests.played_pods import PlayedPod, PodTerminated, Steps

pytestmark = pytest.mark.slow

SUSPENDED = {"runPolicy": {"suspend": True}}
RESUMED = {"runPolicy": {"suspend": False}}


def test_suspension_saves_and_resumption_goes_on_without_counting(place: Place) -> None:
    place.play(play(600), "sft", 1)
    place.create()
    place.wait_for_progress("sft")
    place.wait_for_stage("preference", "Succeeded")

    place.change(SUSPENDED)
    place.wait_for_stage("sft", "Stopped")
    job = place.wait_for_phase("Suspended")
    report = place.kubernetes.get(CONFIG_MAP, f"{place.name_of('sft')}-report", place.namespace)
    assert json.loads(report["data"]["report.json"])["state"] == "Stopped"
    assert place.children(JOB) == ["Job preference-1", "Job prepare-1"]
    assert condition(job, "Suspended")["status"] == "True"

    place.change(RESUMED)
    job = place.wait_for_phase("Succeeded")

    assert {one["name"]: (one["attempt"], one["failures"]) for one in job["status"]["stages"]} == {
        # Each new spec is validated, and finds what is finished.
        "prepare": (2, 0),
        "sft": (2, 0),
        "preference": (1, 0),
        "merge": (1, 0),
    }
    assert condition(job, "Suspended")["status"] == "False"
    assert [reason for _, reason, _ in place.events() if reason in ("SuspendedBySpec", "Resumed")] == [
        "SuspendedBySpec",
        "Resumed",
    ]


def test_a_job_that_is_created_suspended_starts_nothing(place: Place) -> None:
    place.create(suspend=True)
    job = place.wait_for_phase("Suspended")
    assert place.children() == []
    assert {one["attempt"] for one in job["status"]["stages"]} == {0}

    place.change(RESUMED)
    job = place.wait_for_phase("Succeeded")
    assert stage(job, "prepare")["attempt"] == 1


def test_a_job_that_was_resumed_before_it_had_stopped_goes_on(place: Place) -> None:
    place.play(play(600, save_seconds=1.5), "sft", 1)
    place.create()
    place.wait_for_progress("sft")

    place.change(SUSPENDED)
    place.eventually(lambda: "deletionTimestamp" in place.job_of("sft")["metadata"])
    place.change(RESUMED)
    job = place.wait_for_phase("Succeeded")

    assert (stage(job, "sft")["attempt"], stage(job, "sft")["failures"]) == (2, 0)


def test_pods_that_finish_while_they_should_stop_have_finished(place: Place) -> None:
    """Where the result comes after SIGTERM, it counts."""
    place.play(_finishing_on_sigterm, "sft", 1)
    place.create()
    place.wait_for_stage("sft", "Running")
    place.wait_for_stage("preference", "Succeeded")
    place.change(SUSPENDED)
    place.wait_for_phase("Suspended")
    place.eventually(lambda: place.kubernetes.find(JOB, place.name_of("sft"), place.namespace) is None)
    place.change(RESUMED)
    job = place.wait_for_phase("Succeeded")

    assert stage(job, "sft")["attempt"] == 1


def _finishing_on_sigterm(pod: PlayedPod) -> Steps:
    pod.schedule()
    pod.start()
    run_spec = pod.run_spec
    try:
        yield 600.0
    except PodTerminated:
        pod.write_report(result(run_spec))
        pod.succeed()
