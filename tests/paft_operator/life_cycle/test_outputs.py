"""Two PaftJobs with one output."""

import threading
import time

import pytest
from hack.control_plane.client import JOB
from tests.paft_operator.cluster_jobs import condition
from tests.paft_operator.life_cycle.place import Place
from tests.paft_operator.life_cycle.scripts import held
from tests.paft_operator.played_stages import stage as play

pytestmark = pytest.mark.slow

OUTPUT = "s3://models/shared-{}/"


def test_the_younger_of_two_with_one_output_waits_and_says_so(place: Place) -> None:
    output = OUTPUT.format(place.namespace)
    place.play(play(600), "sft", 1)
    place.create(lambda spec: spec["merge"].update(output={"uri": output}))
    place.wait_for_progress("sft")
    younger = f"{place.name}-b"
    _let_second_pass()
    place.create_other(younger, output=output.removesuffix("/"))
    job = place.wait(lambda status: condition(status, "Validated").get("reason") == "OutputInUse", name=younger)

    message = condition(job, "Validated")["message"]
    assert f"merge.output.uri {output} is the output of {place.namespace}/{place.name}" in message
    assert "Give this job an output of its own, or delete one of the two." in message
    assert place.wait_for_event("OutputInUse", name=younger) == ("Warning", message)
    assert place.jobs.children(JOB, name=younger) == []

    place.jobs.delete(place.name)
    place.wait_for_phase("Succeeded", name=younger)


def test_the_younger_goes_on_when_the_older_has_succeeded(place: Place) -> None:
    output = OUTPUT.format(place.namespace)
    gate = threading.Event()
    place.play(held(gate), "sft", 1)
    place.create(lambda spec: spec["merge"].update(output={"uri": output}))
    younger = f"{place.name}-b"
    place.wait_for_stage("prepare", "Running")
    _let_second_pass()
    place.create_other(younger, output=output)
    place.wait(lambda status: condition(status, "Validated").get("reason") == "OutputInUse", name=younger)
    gate.set()
    older = place.wait_for_phase("Succeeded")
    job = place.wait_for_phase("Succeeded", name=younger)

    assert older["status"]["stages"][0]["startedAt"] < job["status"]["stages"][0]["startedAt"]


def _let_second_pass() -> None:
    """Of two PaftJobs from one second, their uids decide which is the older."""
    time.sleep(1.0)
