"""What must be true of a PaftJob's status at every moment, and from one moment to the next."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from hack.control_plane.client import Object
from tests.gitops import argo_cd, flux
from tests.paft_operator.cluster_jobs import condition

HEALTH = {
    # phase: what Argo CD, Flux and kstatus may say of it
    "Succeeded": {("Healthy", "Current", "Current")},
    "Failed": {("Degraded", "Failed", "Failed")},
    "Suspended": {("Suspended", "Current", "Current"), ("Suspended", "InProgress", "InProgress")},
}
NOT_ENDED = {"Healthy", "Progressing"}


def require_truthful(versions: Sequence[Object]) -> None:
    """Check all recorded versions of the PaftJobs of one name."""
    judged: set[tuple[object, ...]] = set()
    for version in versions:
        if "status" in version:
            _require_consistent(version)
            if (situation := _situation(version)) not in judged:
                judged.add(situation)
                _require_health(version)
    for before, after in pairwise(versions):
        if before["metadata"]["uid"] == after["metadata"]["uid"]:
            _require_forward(before, after)


def _require_consistent(job: Object) -> None:
    status = job["status"]
    types = [one["type"] for one in status["conditions"]]
    assert len(types) == len(set(types)), types
    assert 0 < status["observedGeneration"] <= job["metadata"]["generation"], status
    assert {one["observedGeneration"] for one in status["conditions"]} <= {
        *range(1, status["observedGeneration"] + 1)
    }, status
    ends = [type_ for type_ in ("Succeeded", "Failed") if condition(job, type_).get("status") == "True"]
    assert len(ends) <= 1, status
    is_invalid = condition(job, "Validated").get("reason") == "InvalidSpec"
    if ends:
        assert status["phase"] == ends[0], status
        assert condition(job, "Stalled")["status"] == str(ends == ["Failed"]), status
        assert condition(job, "Reconciling")["status"] == "False", status
    elif not is_invalid:
        assert status["phase"] not in ("Succeeded", "Failed"), status
        assert condition(job, "Stalled").get("status") != "True", status
    if ends == ["Succeeded"]:
        assert {stage["state"] for stage in status["stages"]} == {"Succeeded"}, status
        assert status["output"]["uri"], status
    for stage in status["stages"]:
        assert stage["state"] != "Failed" or (stage["cause"] and stage["message"]), stage
        assert stage["state"] != "Waiting" or (stage["cause"] and stage["message"] and stage["retryAt"]), stage


def _situation(job: Object) -> tuple[object, ...]:
    """Versions that agree in this look alike to GitOps tools."""
    status = job["status"]
    told = sorted((one["type"], one["status"], one["reason"]) for one in status["conditions"])
    return status["phase"], status["observedGeneration"] == job["metadata"]["generation"], *told


def _require_health(job: Object) -> None:
    judged = (argo_cd.health(job)[0], flux.health(job), flux.kstatus(job))
    if job["status"]["observedGeneration"] != job["metadata"]["generation"]:
        assert judged == ("Progressing", "InProgress", "InProgress"), (judged, job["status"])
        return
    phase = job["status"]["phase"]
    if condition(job, "Stalled").get("status") == "True":
        assert judged in HEALTH["Failed"], (judged, job["status"])
    elif phase in HEALTH:
        assert judged in HEALTH[phase], (judged, job["status"])
    else:
        assert judged[0] in NOT_ENDED, (judged, job["status"])
        assert "Failed" not in judged, (judged, job["status"])


def _require_forward(before: Object, after: Object) -> None:
    """Nothing that was said is taken back within one generation, unless a retry was asked for."""
    old, new = before.get("status"), after.get("status")
    if old is None:
        return
    assert new is not None, "the status is gone"
    assert new["observedGeneration"] >= old["observedGeneration"], (old, new)
    for was, is_ in _pairs(old.get("stages", ()), new.get("stages", ()), "name"):
        assert is_["attempt"] >= was["attempt"], (was, is_)
        assert is_["forgivenAttempt"] >= was["forgivenAttempt"], (was, is_)
    for was, is_ in _pairs(old["conditions"], new["conditions"], "type"):
        is_same = was["status"] == is_["status"]
        assert not is_same or was["lastTransitionTime"] == is_["lastTransitionTime"], (was, is_)
        assert is_same or is_["lastTransitionTime"] >= was["lastTransitionTime"], (was, is_)
    if new["observedGeneration"] == old["observedGeneration"]:
        for was, is_ in _pairs(old.get("stages", ()), new.get("stages", ()), "name"):
            assert was["state"] != "Succeeded" or is_["state"] == "Succeeded", (was, is_)
        if new.get("retryToken") == old.get("retryToken"):
            for end in ("Succeeded", "Failed"):
                assert not condition(old, end) or condition(new, end) == condition(old, end), (end, old, new)


def _pairs(old: Sequence[Object], new: Sequence[Object], key: str) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    by_key = {one[key]: one for one in new}
    return [(one, by_key[one[key]]) for one in old if one[key] in by_key]
