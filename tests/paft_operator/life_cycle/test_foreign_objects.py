"""Objects that have the names of ours, and rights or room that are missing: said, left alone, and got over."""

import pytest
from hack.control_plane.client import CONFIG_MAP, JOB, Kind, Object
from tests.paft_operator.cluster_jobs import ROLE, SERVICE, condition
from tests.paft_operator.life_cycle.place import Place

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

    place.kubernetes.delete(QUOTA, "none", place.namespace)
    place.wait_for_phase("Succeeded")
