"""Reports that are none, come late, or speak of something else."""

import json
import time

import pytest
from hack.control_plane.client import CONFIG_MAP
from kubernetes.client.exceptions import ApiException
from tests.paft_operator.cluster_jobs import stage
from tests.paft_operator.life_cycle.place import Place
from tests.paft_operator.life_cycle.scripts import writing
from tests.paft_operator.played_stages import failing_stage, result
from tests.paft_operator.played_stages import stage as play
from tests.played_pods import PlayedPod, Steps

from paft_api.causes import Cause

pytestmark = pytest.mark.slow

GARBAGE = {
    "no JSON": "{nonsense",
    "another document": '{"kind": "List", "items": []}',
    "empty lists": "[[], []]",
    "much": "x" * 300_000,
    "null": "null",
    "characters that JSON forbids": '{"state": "\u0000\ufffd',
}


@pytest.mark.parametrize("what", GARBAGE)
def test_a_report_that_is_none_is_ignored_and_told(place: Place, what: str) -> None:
    place.play(writing(GARBAGE[what]), "prepare", 1)
    place.create()
    kind, message = place.wait_for_event("ReportIgnored")

    assert (kind, message) == ("Warning", "the report of prepare attempt 1 is ignored: it is not a report")
    assert stage(place.get(), "prepare")["state"] == "Running"


def test_a_report_for_another_attempt_is_ignored(place: Place) -> None:
    """The second attempt's pod writes the first one's result, word for word."""
    place.play(failing_stage(Cause.HOST_OOM), "prepare", 1)
    place.play(_reporting_for_the_attempt_before, "prepare", 2)
    place.create(backoffLimit=1)
    job = place.wait_for_phase("Failed")

    told = place.wait_for_event("ReportIgnored")[1]
    assert told == "the report of prepare attempt 2 is ignored: it carries the identity of another attempt"
    assert stage(job, "prepare")["cause"] == "Unknown"


def test_an_old_attempt_s_report_that_comes_late_changes_nothing(place: Place) -> None:
    place.play(failing_stage(Cause.HOST_OOM), "prepare", 1)
    place.play(play(600), "prepare", 2)
    place.create()
    before = place.wait_for_progress("prepare", attempt=2)

    pods = [one for one in place.jobs.pods(place.name) if one["metadata"]["labels"]["paft.dev/attempt"] == "1"]
    late = PlayedPod(place.kubernetes, pods[0], "node-0")
    late.write_report(result(late.run_spec))
    time.sleep(2)

    assert place.get()["status"] == before["status"]


def test_a_report_of_a_finished_stage_that_changes_afterwards_changes_nothing(place: Place) -> None:
    place.play(play(600), "sft")
    place.create()
    place.wait_for_progress("sft")
    place.wait_for_stage("preference", "Succeeded")
    before = place.get()
    name = f"{place.name_of('preference')}-report"
    for data in ({"report.json": "{nonsense"}, {"report.json": None}):
        place.kubernetes.patch(CONFIG_MAP, name, place.namespace, {"data": data})
    place.kubernetes.delete(CONFIG_MAP, name, place.namespace)
    time.sleep(2)

    assert place.get()["status"] == before["status"]


def test_an_attempt_may_write_its_own_report_and_nothing_else(place: Place) -> None:
    refused: list[int] = []

    def script(pod: PlayedPod) -> Steps:
        pod.schedule()
        pod.start()
        spec = pod.run_spec
        for name in (place.name_of("prepare"), f"{place.name_of('sft')}-report", "anything"):
            try:
                pod.write_config_map(name, {"report.json": json.dumps({})})
            except ApiException as error:
                refused.append(error.status)
        yield 0.0
        pod.write_report(result(spec))
        pod.succeed()

    place.play(script, "prepare")
    place.create()
    place.wait_for_phase("Succeeded")

    assert refused == [403, 403, 403]


def _reporting_for_the_attempt_before(pod: PlayedPod) -> Steps:
    pod.schedule()
    pod.start()
    told = result(pod.run_spec)
    identity = told.identity.model_copy(update={"attempt": told.identity.attempt - 1})
    pod.write_report(told.model_copy(update={"identity": identity}))
    yield 0.0
    pod.succeed()
