"""A cluster without JobSet; tests/node has one with it."""

import pytest
from tests.paft_operator.cluster_jobs import condition, stage
from tests.paft_operator.life_cycle.place import Place

pytestmark = pytest.mark.slow


def test_that_job_set_is_not_installed_is_told_and_got_over(place: Place) -> None:
    place.create(lambda spec: spec.update(scheduling={"backend": "jobset"}))
    job = place.wait(lambda status: "install JobSet" in condition(status, "Reconciling").get("message", ""))
    assert condition(job, "Reconciling")["reason"] == "ChildrenRefused"
    assert stage(job, "prepare")["state"] == "Succeeded"
    assert place.children() == [one for one in place.children() if "prepare-1" in one]

    place.change({"scheduling": {"backend": "jobs"}})
    job = place.wait_for_phase("Succeeded")
    assert [stage(job, arm)["attempt"] for arm in ("sft", "preference")] == [1, 1]
