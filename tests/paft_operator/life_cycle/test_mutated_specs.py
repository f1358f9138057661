"""Specs generated from the CRD's schema: refused with a message, or a truthful status, whatever came before."""

import json
import os
import re
import time
from typing import Any

import pytest
from hack.control_plane.client import CONFIG_MAP, Object
from kubernetes.client.exceptions import ApiException
from tests.paft_operator.cluster_jobs import PAFT_JOB, condition
from tests.paft_operator.life_cycle.mutations import Mutation, good_spec, mutation
from tests.paft_operator.life_cycle.place import Place
from tests.played_pods import running_until_deleted

from paft_api.spec.job import API_VERSION, KIND

pytestmark = pytest.mark.slow

IS_CAMPAIGN = "PAFT_CAMPAIGN" in os.environ
CASES = 1000 if IS_CAMPAIGN else 100
BATCH = 10
QUIET_SECONDS = 0.5
MOST_STATUSES = 12
"""Statuses of one spec until it is settled; a loop would write more."""


@pytest.mark.parametrize("first", range(0, CASES, BATCH))
def test_a_spec_is_refused_or_told_truthfully_and_its_past_does_not_matter(place: Place, first: int) -> None:
    findings = []
    for number in range(first, first + BATCH):
        try:
            _try(place, number, f"m{number}-{place.name[-4:]}")
        except (AssertionError, TimeoutError) as error:
            findings.append(f"{mutation(number)} (number {number}): {error}")
    assert findings == []


def _try(place: Place, number: int, name: str) -> None:
    """A good spec, the mutated one, the good one again; then a PaftJob that never knew another than the mutated one.

    Outside a campaign one of the last two, in turns.
    """
    mutated = mutation(number)
    place.play(running_until_deleted, name=name)
    good = good_spec(name)
    spec = mutated.applied_to(good)
    place.see(place.jobs.create(_job(name, good)))
    at_first = _settled(place, name)
    if not _is_taken(place, mutated, name, spec):
        assert _settled(place, name) == at_first
        _delete(place, name)
        return
    told = _settled(place, name)
    _require_verdict(told)
    if IS_CAMPAIGN or number % 2:
        _replace(place, name, good)
        assert _settled(place, name) == at_first
    _delete(place, name)
    if IS_CAMPAIGN or not number % 2:
        place.see(place.jobs.create(_job(name, spec)))
        assert _settled(place, name) == told
        _delete(place, name)


def _is_taken(place: Place, mutated: Mutation, name: str, spec: Object) -> bool:
    """Replace the spec; whether it was admitted. A refusal names the field."""
    refusal = _refusal(place, name, spec)
    if refusal is None:
        assert not mutated.must_be_refused, "it was admitted"
        return True
    message = str(json.loads(refusal.body)["message"])
    assert refusal.status == 422, message
    assert any(part in message for part in mutated.path if isinstance(part, str)), message
    return False


def _refusal(place: Place, name: str, spec: Object) -> ApiException | None:
    try:
        _replace(place, name, spec)
    except ApiException as error:
        return error
    return None


def _replace(place: Place, name: str, spec: Object) -> None:
    """Whatever its status has become meanwhile."""
    change: Any = [{"op": "replace", "path": "/spec", "value": spec}]
    place.see(
        place.kubernetes.patch(PAFT_JOB, name, place.namespace, change, content_type="application/json-patch+json")
    )


def _require_verdict(told: Object) -> None:
    """It runs, or rests as it was told to, or says what is wrong."""
    verdicts = told["conditions"]
    if verdicts["Stalled"][0] == "True" or verdicts["Reconciling"][0] == "True":
        _, reason, message = verdicts["Stalled"] if verdicts["Stalled"][0] == "True" else verdicts["Reconciling"]
        assert reason in ("InvalidSpec", "ChildrenRefused"), told
        assert message, told
    elif told["phase"] == "Suspended":
        assert told["jobs"] == [], told
    else:
        assert told["phase"] == "Validating", told
        assert len(told["jobs"]) == 1, told


def _settled(place: Place, name: str) -> Object:
    """What is so, once it does not change any more."""
    deadline = time.monotonic() + place.patience
    before = None
    while (now := _essence(place, name)) is None or now != before:
        assert time.monotonic() < deadline, f"it does not settle: {before}, {now}"
        before = now
        time.sleep(QUIET_SECONDS)
    _require_no_loop(place, name)
    return now


def _require_no_loop(place: Place, name: str) -> None:
    versions = place.recorded.versions(place.namespace, name)
    newest = versions[-1]["metadata"]
    statuses = [
        one
        for one in versions
        if (one["metadata"]["uid"], one["metadata"]["generation"]) == (newest["uid"], newest["generation"])
    ]
    assert len(statuses) <= MOST_STATUSES, f"{len(statuses)} statuses"


def _essence(place: Place, name: str) -> Object | None:
    """Status, Jobs and RunSpec without times, numbers and uids; None before the spec has been observed."""
    job = place.recorded.versions(place.namespace, name)[-1]
    status = job.get("status", {})
    if status.get("observedGeneration") != job["metadata"]["generation"]:
        return None
    uid = job["metadata"]["uid"]
    jobs = [one for one in place.jobs.jobs(name) if one["metadata"]["ownerReferences"][0]["uid"] == uid]
    running = {f"{name}-{one['name']}-{one['attempt']}" for one in status["stages"] if one["state"] == "Running"}
    is_refused = condition(job, "Reconciling")["reason"] == "ChildrenRefused"
    if not is_refused and {one["metadata"]["name"] for one in jobs} != running:
        # One is still stopping, or about to begin.
        return None
    if any(one["spec"].get("suspend") for one in jobs) and condition(job, "Queued").get("status") != "True":
        # That it waits in a queue is told once its Job has been seen.
        return None
    return {
        "phase": status["phase"],
        "conditions": {
            one["type"]: (one["status"], _at_rest(one["reason"]), _neutral(one["message"]))
            for one in status["conditions"]
            if one["type"] not in ("Suspended", "Queued") or one["status"] != "False"
        },
        "stages": [(one["name"], _at_rest(one["state"]), one.get("cause")) for one in status.get("stages", ())],
        "jobs": [_template(one) for one in jobs],
        "run specs": [_run_spec(place, one) for one in jobs],
    }


def _at_rest(state: str) -> str:
    """That an earlier attempt was stopped is the past."""
    return "Pending" if state == "Stopped" else state


def _template(job: Object) -> str:
    template = job["spec"]["template"]
    labels = {key: value for key, value in template["metadata"]["labels"].items() if not key.endswith("uid")}
    return _neutral(json.dumps(template | {"metadata": template["metadata"] | {"labels": labels}}, sort_keys=True))


def _run_spec(place: Place, job: Object) -> str:
    found = place.kubernetes.get(CONFIG_MAP, job["metadata"]["name"], place.namespace)
    document: dict[str, Any] = json.loads(found["data"]["run_spec.json"])
    del document["identity"]
    return _neutral(json.dumps(document, sort_keys=True))


def _neutral(text: str) -> str:
    """Without the number of an attempt."""
    return re.sub(r'(-prepare-|"paft.dev/attempt": ")\d+', r"\1N", text)


def _delete(place: Place, name: str) -> None:
    place.jobs.delete(name)
    place.eventually(lambda: place.kubernetes.find(PAFT_JOB, name, place.namespace) is None)


def _job(name: str, spec: Object) -> Object:
    return {"apiVersion": API_VERSION, "kind": KIND, "metadata": {"name": name}, "spec": spec}
