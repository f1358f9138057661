"""What is in another namespace: no field reaches it, and it reaches no PaftJob."""

import copy
import time

import pytest
from hack.control_plane.client import CONFIG_MAP, NAMESPACE, SERVICE_ACCOUNT, Kind, Object
from kubernetes.client.exceptions import ApiException
from tests.paft_operator.cluster_jobs import minimal_job, stage
from tests.paft_operator.life_cycle.place import Place
from tests.paft_operator.played_stages import stage as play

from paft_api import labels

pytestmark = pytest.mark.slow

SECRET = Kind("v1", "Secret")
REFERENCES: dict[str, Object] = {
    "spec.storage.secretRef.name": {"storage": {"secretRef": {"name": "{}"}}},
    "spec.trainer.serviceAccountName": {"trainer": {"serviceAccountName": "{}"}},
    "spec.trainer.imagePullSecrets[0].name": {"trainer": {"imagePullSecrets": [{"name": "{}"}]}},
    "spec.trainer.runtimeClassName": {"trainer": {"runtimeClassName": "{}"}},
    "spec.scheduling.queueName": {"scheduling": {"queueName": "{}"}},
    "spec.scheduling.priorityClassName": {"scheduling": {"priorityClassName": "{}"}},
}
"""Every field that names an object of the cluster. What a pod template adds is a pod's: it knows its namespace only."""


@pytest.mark.parametrize("field", REFERENCES)
def test_a_field_takes_a_name_and_no_namespace(place: Place, field: str) -> None:
    for wanted in ("{other}/theirs", "../{other}/theirs"):
        manifest = minimal_job(place.name)
        for block, change in _filled(REFERENCES[field], wanted.format(other=_other(place))).items():
            manifest["spec"].setdefault(block, {}).update(change)
        with pytest.raises(ApiException, match=field.replace("[", r"\[").replace("]", r"\]")) as refusal:
            place.jobs.create(manifest)
        assert refusal.value.status == 422


def test_names_are_of_the_jobs_own_namespace(place: Place) -> None:
    """An account and a Secret of these names exist elsewhere only: pods are refused, which is told."""
    other = _other(place)
    for kind in (SERVICE_ACCOUNT, SECRET):
        metadata = {"name": "theirs", "namespace": other}
        place.kubernetes.create({"apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata})
    place.create(lambda spec: spec.setdefault("trainer", {}).update(serviceAccountName="theirs"))
    job = place.wait(lambda status: stage(status, "prepare")["message"])

    message = f"Job {place.name_of('prepare')} has 0 of 1 pods: others are not created."
    assert stage(job, "prepare")["message"].startswith(message)
    assert place.jobs.pods(place.name) == []
    assert place.kubernetes.list(CONFIG_MAP, other, labels=labels.JOB_NAME) == []


def test_objects_of_another_namespace_are_no_children(place: Place) -> None:
    """A copy of the report, name, labels and all, with a result that nobody reached."""
    place.play(play(600), "sft")
    place.create(ttlSecondsAfterFinished=1)
    place.wait_for_progress("sft")
    other, name = _other(place), f"{place.name_of('sft')}-report"
    copied = copy.deepcopy(place.kubernetes.get(CONFIG_MAP, name, place.namespace))
    copied["metadata"] = {"name": name, "namespace": other, "labels": copied["metadata"]["labels"]}
    copied["data"] = {"report.json": copied["data"]["report.json"].replace('"Running"', '"Succeeded"')}
    forged = place.kubernetes.create(copied)
    place.wait_for_stage("preference", "Succeeded")
    before = place.get()["status"]
    time.sleep(2)
    assert place.get()["status"] == before

    place.change({"runPolicy": {"suspend": True}})
    place.wait_for_phase("Suspended")
    place.play(play(), "sft")
    place.change({"runPolicy": {"suspend": False}})
    place.wait_for_phase("Succeeded")
    place.eventually(lambda: place.jobs.children(CONFIG_MAP, name=place.name) == [])
    assert place.kubernetes.get(CONFIG_MAP, name, other)["metadata"]["uid"] == forged["metadata"]["uid"]


def _other(place: Place) -> str:
    name = f"{place.namespace}-other"
    if place.kubernetes.find(NAMESPACE, name, None) is None:
        place.kubernetes.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    return name


def _filled(change: Object, name: str) -> Object:
    def filled(value: object) -> object:
        match value:
            case dict():
                return {key: filled(one) for key, one in value.items()}
            case list():
                return [filled(one) for one in value]
            case _:
                return str(value).format(name)

    return {key: filled(one) for key, one in change.items()}
