"""The operator is replaced while PaftJobs are in each phase; and where nothing happens, it writes nothing."""

import threading
import time
from pathlib import Path

import pytest
from hack.control_plane import ControlPlane
from hack.control_plane.audit import AuditRecord, read_audit_log
from hack.control_plane.client import POD, Kind
from tests.paft_operator.cluster_jobs import CHILDREN, PAFT_JOB, condition
from tests.paft_operator.life_cycle.chart_operator import chart_operator
from tests.paft_operator.life_cycle.place import Place
from tests.paft_operator.life_cycle.places import Places
from tests.paft_operator.life_cycle.rendered_rights import ACCOUNT
from tests.paft_operator.life_cycle.scripts import held
from tests.paft_operator.operator_processes import TRAINER_IMAGE, OperatorProcess
from tests.paft_operator.played_stages import failing_stage

from paft_api.causes import Cause

pytestmark = pytest.mark.slow

IDLE_SECONDS = 4.0
OTHER_IMAGE = "paft-trainer:9.9.9"
HELD = {"Validating": "prepare", "Training": "sft", "Merging": "merge", "Suspended": "sft"}
WRITES = ("create", "update", "patch", "delete", "deletecollection")


def test_an_upgrade_leaves_everything_alone(
    control_plane: ControlPlane, places: Places, shared_operator: OperatorProcess, tmp_path: Path
) -> None:
    gate = threading.Event()
    everything = _in_each_phase(places, gate)
    before = {phase: _objects(place) for phase, place in everything.items()}

    assert shared_operator.stop() == 0
    with chart_operator(control_plane, tmp_path / "operator.log", trainer_image=OTHER_IMAGE) as upgraded:
        upgraded.wait_until_leading()
        asked = len(_requests(control_plane))
        time.sleep(IDLE_SECONDS)
        assert {phase: _objects(place) for phase, place in everything.items()} == before
        namespaces = {place.namespace for place in everything.values()}
        assert [one for one in _requests(control_plane)[asked:] if one.namespace in namespaces] == []

        gate.set()
        everything["Suspended"].change({"runPolicy": {"suspend": False}})
        for phase, place in everything.items():
            if phase != "Failed":
                place.wait_for_phase("Succeeded")
            place.require_truthful()
        assert [line for line in upgraded.log if line["level"] == "error"] == []

    assert _images(everything["Training"]) == {"prepare": TRAINER_IMAGE, "sft": TRAINER_IMAGE, "merge": OTHER_IMAGE}


def _in_each_phase(places: Places, gate: threading.Event) -> dict[str, Place]:
    """A PaftJob in each phase; those that run go on when the gate opens."""
    made = {phase: places.make(f"upgrade {phase}") for phase in (*HELD, "Succeeded", "Failed")}
    for phase, stage_name in HELD.items():
        made[phase].play(held(gate), stage_name)
    made["Failed"].play(failing_stage(Cause.DIVERGED), "preference")
    for place in made.values():
        place.create()
    made["Suspended"].wait_for_progress("sft")
    made["Suspended"].change({"runPolicy": {"suspend": True}})
    for phase, place in made.items():
        place.wait_for_phase(phase)
        place.eventually(lambda place=place: _is_at_rest(place), f"{phase} does not come to rest")
    made["Pending"] = waiting = places.make("upgrade Pending")
    output = f"s3://models/{made['Training'].name}-paft/"
    waiting.create(lambda spec: spec["merge"].update(output={"uri": output}))
    waiting.wait(lambda status: condition(status, "Validated").get("reason") == "OutputInUse")
    return made


def _is_at_rest(place: Place) -> bool:
    """Held stages have reported all they will, and others have ended."""
    states = {one["name"]: one for one in place.get()["status"]["stages"]}
    running = [one for one in states.values() if one["state"] == "Running"]
    jobs = place.jobs.jobs(place.name)
    are_ended = all("active" not in one["status"] for one in jobs if not _is_of(one, running))
    return are_ended and all(one.get("step") is not None for one in running) and len(running) <= 1


def _is_of(job: dict[str, object], running: list[dict[str, object]]) -> bool:
    labels = job["metadata"]["labels"]  # type: ignore[index]
    return labels["paft.dev/stage"] in {one["name"] for one in running}


def _objects(place: Place) -> dict[tuple[str, str], tuple[str, str]]:
    """Uid and version of the PaftJob and all that belongs to it."""
    kinds: tuple[Kind, ...] = (PAFT_JOB, *CHILDREN, POD)
    return {
        (kind.kind, one["metadata"]["name"]): (one["metadata"]["uid"], one["metadata"]["resourceVersion"])
        for kind in kinds
        for one in place.kubernetes.list(kind, place.namespace)
        if kind is PAFT_JOB or "ownerReferences" in one["metadata"]
    }


def _requests(control_plane: ControlPlane) -> list[AuditRecord]:
    """What the operator has written."""
    return [one for one in read_audit_log(control_plane.audit_log) if one.user == ACCOUNT and one.verb in WRITES]


def _images(place: Place) -> dict[str, str]:
    return {
        name: place.job_of(name)["spec"]["template"]["spec"]["containers"][0]["image"]
        for name in ("prepare", "sft", "merge")
    }
