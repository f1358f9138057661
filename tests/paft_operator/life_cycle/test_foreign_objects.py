"""Objects that have the names of ours, and rights or room that are missing: said, left alone, and got over."""

import threading
import time

import pytest
from hack.control_plane.client import CONFIG_MAP, JOB, Kind, Object
from tests.paft_operator.cluster_jobs import ROLE, ROLE_BINDING, SERVICE, condition, stage
from tests.paft_operator.life_cycle.place import Place
from tests.paft_operator.life_cycle.scripts import held
from tests.played_pods import running_until_deleted

pytestmark = pytest.mark.slow

QUOTA = Kind("v1", "ResourceQuota")
SPECS: dict[Kind, Object] = {
    CONFIG_MAP: {"data": {"run_spec.json": "mine"}},
    ROLE: {"rules": []},
    SERVICE: {"spec": {"ports": [{"port": 80}]}},
    JOB: {
        "spec": {
            "suspend": True,
            "template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}},
        }
    },
}
INADMISSIBLE = {"trainer": {"tolerations": [{"key": "a", "effect": "NoSchedule", "tolerationSeconds": 5}]}}
"""The models know no better; the API server refuses such a pod."""
NAMES = {CONFIG_MAP: "prepare-1", ROLE: "prepare-1", SERVICE: "sft", JOB: "prepare-1"}


@pytest.mark.parametrize("kind", SPECS, ids=lambda kind: kind.kind)
def test_an_object_of_somebody_else_is_left_alone(place: Place, kind: Kind) -> None:
    name = f"{place.name}-{NAMES[kind]}"
    foreign = place.kubernetes.create(
        {
            "apiVersion": kind.api_version,
            "kind": kind.kind,
            "metadata": {"name": name, "namespace": place.namespace},
            **SPECS[kind],
        }
    )
    place.create()
    job = place.wait(lambda status: condition(status, "Reconciling").get("reason") == "ChildrenRefused")
    why = f"{kind.kind} {name} exists and is not this PaftJob's; delete or rename it"
    assert condition(job, "Reconciling")["message"] == why
    assert place.wait_for_event("ChildrenRefused") == ("Warning", why)
    now = place.kubernetes.get(kind, name, place.namespace)
    assert now["metadata"]["uid"] == foreign["metadata"]["uid"]
    assert "ownerReferences" not in now["metadata"]

    place.kubernetes.delete(kind, name, place.namespace)
    place.wait_for_phase("Succeeded")


def test_a_quota_that_is_used_up_is_told_and_got_over(place: Place) -> None:
    place.kubernetes.create(
        {
            "apiVersion": "v1",
            "kind": "ResourceQuota",
            "metadata": {"name": "none", "namespace": place.namespace},
            "spec": {"hard": {"count/jobs.batch": "0"}},
        }
    )
    place.kubernetes.wait_for(QUOTA, "none", place.namespace, lambda quota: quota.get("status", {}).get("hard"))
    place.create()
    job = place.wait(lambda status: condition(status, "Reconciling").get("reason") == "ChildrenRefused")
    assert "exceeded quota: none, requested: count/jobs.batch=1" in condition(job, "Reconciling")["message"]
    # All that its own status gives rise to is over then: only trying again gets over it.
    time.sleep(1)

    place.kubernetes.delete(QUOTA, "none", place.namespace)
    place.wait_for_phase("Succeeded")


def test_a_stage_that_has_ended_is_told_though_the_next_one_is_refused(place: Place) -> None:
    """What was said before stays true: prepare has succeeded, and neither arm runs."""
    gate = threading.Event()
    place.play(held(gate), "prepare")
    place.create()
    place.wait_for_progress("prepare")
    quota = {"name": "one", "namespace": place.namespace}
    place.kubernetes.create(
        {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": quota, "spec": {"hard": {"count/jobs.batch": "1"}}}
    )
    place.kubernetes.wait_for(QUOTA, "one", place.namespace, lambda found: found.get("status", {}).get("used"))
    gate.set()
    job = place.wait(lambda status: condition(status, "Reconciling").get("reason") == "ChildrenRefused")

    assert {one["name"]: (one["state"], one["attempt"]) for one in job["status"]["stages"]} == {
        "prepare": ("Succeeded", 1),
        "sft": ("Pending", 0),
        "preference": ("Pending", 0),
        "merge": ("Pending", 0),
    }
    assert place.wait_for_event("PrepareSucceeded")[0] == "Normal"
    place.kubernetes.delete(QUOTA, "one", place.namespace)
    place.wait_for_phase("Succeeded")


def test_an_attempt_that_was_stopped_is_not_said_to_run_where_the_next_one_is_refused(place: Place) -> None:
    place.play(running_until_deleted, "prepare", 1)
    place.create()
    place.wait_for_stage("prepare", "Running")
    place.change(INADMISSIBLE)
    job = place.wait(lambda status: condition(status, "Reconciling").get("reason") == "ChildrenRefused")

    assert (job["status"]["observedGeneration"], stage(job, "prepare")["state"]) == (2, "Pending")
    assert "tolerationSeconds" in condition(job, "Reconciling")["message"]
    place.change({"trainer": {"tolerations": None}})
    place.wait_for_phase("Succeeded")


def test_a_field_that_no_pod_has_is_told_and_got_over(place: Place) -> None:
    """It would else vanish without a word."""
    place.create(lambda spec: spec.setdefault("trainer", {}).update(podTemplate={"spec": {"hostNetwrk": True}}))
    job = place.wait(lambda status: condition(status, "Reconciling").get("reason") == "ChildrenRefused")

    assert 'unknown field "spec.template.spec.hostNetwrk"' in condition(job, "Reconciling")["message"]
    place.change({"trainer": {"podTemplate": None}})
    place.wait_for_phase("Succeeded")


def test_what_a_start_has_left_serves_the_spec_as_it_is_then(place: Place) -> None:
    """Everything but the Job was made for the attempt's own account."""
    metadata = {"name": place.name_of("prepare"), "namespace": place.namespace}
    place.kubernetes.create({"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, **SPECS[JOB]})
    place.create()
    place.wait(lambda status: condition(status, "Reconciling").get("reason") == "ChildrenRefused")
    account = {"apiVersion": "v1", "kind": "ServiceAccount"}
    place.kubernetes.create(account | {"metadata": metadata | {"name": "theirs"}})
    place.change({"trainer": {"serviceAccountName": "theirs"}})
    # What was decided for the spec before may be on its way until then.
    place.wait(lambda status: status["observedGeneration"] == 2)
    place.kubernetes.delete(JOB, metadata["name"], place.namespace)
    place.wait_for_phase("Succeeded")

    binding = place.kubernetes.get(ROLE_BINDING, metadata["name"], place.namespace)
    assert [one["name"] for one in binding["subjects"]] == ["theirs"]
