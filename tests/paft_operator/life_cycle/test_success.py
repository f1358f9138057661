"""A PaftJob from `kubectl apply` to the published checkpoint, as people see it at every moment."""

import re
import subprocess

import pytest
from hack.control_plane.client import JOB
from hack.control_plane.programs import find_or_build
from tests.paft_operator.cluster_jobs import condition, stage
from tests.paft_operator.life_cycle.place import Place
from tests.paft_operator.life_cycle.scripts import finding
from tests.paft_operator.played_stages import stage as play

pytestmark = pytest.mark.slow

STAGES = ("prepare", "sft", "preference", "merge")


def test_a_job_succeeds(place: Place) -> None:
    place.create()
    job = place.wait_for_phase("Succeeded")

    attempts = [f"{name}-1" for name in ("merge", "preference", "prepare", "sft")]
    assert place.children() == sorted(
        [
            *(f"{kind} {name}" for name in attempts for kind in ("Job", "ServiceAccount", "Role", "RoleBinding")),
            *(f"ConfigMap {name}{end}" for name in attempts for end in ("", "-report")),
            *(f"Service {arm}" for arm in ("sft", "preference")),
        ]
    )
    assert {one["name"]: (one["state"], one["attempt"], one["failures"]) for one in job["status"]["stages"]} == (
        dict.fromkeys(STAGES, ("Succeeded", 1, 0))
    )
    assert condition(job, "Succeeded")["message"] == f"Published s3://models/{place.name}-paft/."


def test_phases_and_events_come_in_order(place: Place) -> None:
    place.create()
    place.wait_for_phase("Succeeded")

    phases = [one["status"]["phase"] for one in place.recorded.versions(place.namespace, place.name) if "status" in one]
    assert list(dict.fromkeys(phases)) == ["Validating", "Training", "Merging", "Succeeded"]
    told = [f"{name}{what}" for name in ("Prepare", "Sft", "Preference", "Merge") for what in ("Started", "Succeeded")]
    place.eventually(lambda: len(place.events()) > len(told))
    assert sorted(reason for _, reason, _ in place.events()) == sorted([*told, "JobSucceeded"])
    assert {kind for kind, _, _ in place.events()} == {"Normal"}


def test_nothing_is_added_to_objects_of_users(place: Place) -> None:
    created = place.create()
    job = place.wait_for_phase("Succeeded")

    left_alone = ("annotations", "finalizers", "labels", "ownerReferences", "generation")
    assert {name: job["metadata"].get(name) for name in left_alone} == {
        name: created["metadata"].get(name) for name in left_alone
    }
    assert job["spec"] == created["spec"]
    managers = {one["manager"]: one.get("subresource") for one in job["metadata"]["managedFields"]}
    assert managers["paft-operator"] == "status"


def test_kubectl_shows_where_a_job_is(place: Place) -> None:
    place.play(play(60), "sft")
    place.create()
    place.wait_for_progress("sft")
    place.wait_for_stage("preference", "Succeeded")
    columns = kubectl(place, "get", "paftjobs").splitlines()

    assert columns[0].split() == ["NAME", "PHASE", "SFT", "PREFERENCE", "METHOD", "ETA", "AGE"]
    assert re.fullmatch(rf"{place.name} +Training +4/8 +8/8 +ties +4s +\d+s", columns[1]), columns


def test_kubectl_shows_the_output_of_a_job_that_has_ended(place: Place) -> None:
    place.create()
    place.wait_for_phase("Succeeded")

    wide = kubectl(place, "get", "pj", "--output", "wide").splitlines()
    assert wide[0].split()[-1] == "OUTPUT"
    assert re.search(rf"Succeeded +8/8 +8/8 +ties .* s3://models/{place.name}-paft/$", wide[1]), wide
    place.eventually(lambda: "JobSucceeded" in kubectl(place, "describe", "paftjob", place.name))
    assert kubectl(place, "wait", "--for=condition=Succeeded", f"paftjob/{place.name}").endswith("condition met\n")


def test_work_that_is_found_finished_is_not_done_again(place: Place) -> None:
    """Another PaftJob with the same artifacts: prepare finds both adapters."""
    place.play(finding("sft", "preference"), "prepare")
    place.create()
    job = place.wait_for_phase("Succeeded")

    assert {one["name"]: one["attempt"] for one in job["status"]["stages"]} == {
        "prepare": 1,
        "sft": 0,
        "preference": 0,
        "merge": 1,
    }
    assert stage(job, "sft")["message"] == "found finished: the same work was done before"
    assert place.children(JOB) == ["Job merge-1", "Job prepare-1"]


def kubectl(place: Place, *arguments: str) -> str:
    """Standard output of the real kubectl in the place's namespace."""
    program = find_or_build(("kubectl",))["kubectl"]
    result = subprocess.run(
        [program, "--kubeconfig", place.kubeconfig, "--namespace", place.namespace, *arguments],
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout
