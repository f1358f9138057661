"""What goes with a PaftJob, and what goes before it: deletion, and ttlSecondsAfterFinished."""

import threading
import time

import pytest
from hack.control_plane.client import CONFIG_MAP, POD
from tests.paft_operator.cluster_jobs import PAFT_JOB, stage
from tests.paft_operator.life_cycle.place import Place
from tests.paft_operator.life_cycle.scripts import after
from tests.paft_operator.played_stages import failing_stage
from tests.paft_operator.played_stages import stage as play

from paft_api.causes import Cause

pytestmark = pytest.mark.slow


def test_a_deleted_job_takes_all_its_objects_with_it_and_nothing_else(place: Place) -> None:
    place.kubernetes.create(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": f"{place.name}-sft-notes",
                "namespace": place.namespace,
                "labels": {"paft.dev/job-name": place.name, "app.kubernetes.io/managed-by": "paft-operator"},
            },
        }
    )
    place.play(play(600), "sft")
    place.create()
    place.wait_for_progress("sft")

    place.jobs.delete(place.name)

    place.eventually(lambda: place.children() == ["ConfigMap sft-notes"], "children are left")
    place.eventually(lambda: place.kubernetes.list(POD, place.namespace) == [], "pods are left")
    assert place.kubernetes.find(PAFT_JOB, place.name, place.namespace) is None


def test_a_job_of_the_same_name_begins_anew(place: Place) -> None:
    place.play(play(600, save_seconds=1.0), "sft", 1)
    first = place.create()
    place.wait_for_progress("sft")
    place.jobs.delete(place.name)
    place.play(play(), "sft", 1)
    second = place.create()
    job = place.recorded.wait(
        place.namespace,
        place.name,
        lambda job: (
            job["metadata"]["uid"] == second["metadata"]["uid"] and job.get("status", {}).get("phase") == "Succeeded"
        ),
        seconds=place.patience,
    )

    assert first["metadata"]["uid"] != second["metadata"]["uid"]
    assert stage(job, "sft")["attempt"] == 1
    owners = {
        owner["uid"]
        for one in place.kubernetes.list(CONFIG_MAP, place.namespace, labels=f"paft.dev/job-name={place.name}")
        for owner in one["metadata"]["ownerReferences"]
    }
    assert owners == {second["metadata"]["uid"]}


def test_children_go_after_their_time_and_the_job_stays(place: Place) -> None:
    place.create(ttlSecondsAfterFinished=1)
    ended = place.wait_for_phase("Succeeded")

    place.eventually(lambda: place.children() == [] and place.kubernetes.list(POD, place.namespace) == [])
    time.sleep(1)
    assert place.get()["status"] == ended["status"]
    assert place.children() == []


def test_children_of_a_failed_job_go_after_what_runs_has_saved(place: Place) -> None:
    gate = threading.Event()
    place.play(after(gate, failing_stage(Cause.DIVERGED)), "preference")
    place.play(play(600, save_seconds=2.0), "sft")
    place.create(ttlSecondsAfterFinished=0)
    place.wait_for_progress("sft")
    gate.set()
    place.wait_for_phase("Failed")
    stopped = place.wait_for_stage("sft", "Stopped")

    place.eventually(lambda: place.children() == [])
    assert stage(stopped, "sft")["step"] == 4
    assert place.get()["status"]["phase"] == "Failed"
