"""The health checks that docs/gitops ships say the right thing of every status that the planner gives."""

import json

import pytest
from lupa.lua51 import LuaError
from tests.gitops import argo_cd, flux
from tests.gitops.planned_jobs import planned_jobs, status_of

from paft_api.causes import CAUSE_FACTS, Cause

JOBS = planned_jobs()
EXPECTED = {
    # situation: phase, Argo CD, Flux, kstatus
    "not seen": (None, "Progressing", "Unknown", "Current"),
    "validating": ("Validating", "Healthy", "Current", "Current"),
    "output in use": ("Pending", "Progressing", "InProgress", "InProgress"),
    "queued": ("Training", "Healthy", "Current", "Current"),
    "training": ("Training", "Healthy", "Current", "Current"),
    "waiting to retry": ("Training", "Progressing", "InProgress", "InProgress"),
    "merging": ("Merging", "Healthy", "Current", "Current"),
    "succeeded": ("Succeeded", "Healthy", "Current", "Current"),
    "failed": ("Failed", "Degraded", "Failed", "Failed"),
    "suspended": ("Suspended", "Suspended", "Current", "Current"),
    "changed and not seen": ("Succeeded", "Progressing", "InProgress", "InProgress"),
}
MESSAGES = {
    "not seen": "The operator has not seen this spec yet.",
    "validating": "Validating: prepare started",
    "output in use": (
        "OutputInUse: merge.output.uri s3://models/fused/ is the output of team-a/older, which is older and has not "
        "ended; nothing starts until then. Give this job an output of its own, or delete one of the two."
    ),
    "queued": "The queue has not admitted every attempt yet.",
    "waiting to retry": f"WaitingToRetry: It happened. {CAUSE_FACTS[Cause.HOST_OOM].remedy}",
    "training": "Training: sft started, preference started",
    "merging": "Merging: merge started",
    "succeeded": "Published s3://paft/sft/.",
    "changed and not seen": "The operator has not seen this spec yet.",
}


@pytest.mark.parametrize("situation", EXPECTED)
def test_each_tool_judges_each_situation(situation: str) -> None:
    job = JOBS[situation]
    phase = str(status_of(job).phase) if "status" in job else None

    assert (phase, argo_cd.health(job)[0], flux.health(job), flux.kstatus(job)) == EXPECTED[situation]


def test_situations_are_those_expected() -> None:
    assert list(JOBS) == list(EXPECTED)


@pytest.mark.parametrize("situation", MESSAGES)
def test_argo_cd_says_what_happens(situation: str) -> None:
    assert argo_cd.health(JOBS[situation])[1] == MESSAGES[situation]


def test_argo_cd_repeats_cause_and_remedy_of_a_failure() -> None:
    _, message = argo_cd.health(JOBS["failed"])

    assert message.startswith("Diverged: sft: It happened. ")
    assert message.endswith(status_of(JOBS["failed"]).stages[1].message.partition(". ")[2])


def test_argo_cd_shows_progress() -> None:
    job = json.loads(json.dumps(JOBS["training"]))
    job["status"]["stages"][1]["progress"] = "120/900"

    assert argo_cd.health(job) == ("Healthy", "Training: sft 120/900, preference started")


@pytest.mark.parametrize("library", ["string.format('')", "math.max(1)", "os.time()", "io.read()", "('a'):upper()"])
def test_the_sandbox_refuses_what_argo_cd_refuses(library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(argo_cd, "script", lambda: f"return {library}")

    with pytest.raises(LuaError):
        argo_cd.health(JOBS["training"])


@pytest.mark.parametrize("status", [{}, {"observedGeneration": 1}, {"observedGeneration": 1, "conditions": []}])
def test_a_status_that_has_only_begun_is_not_taken_for_healthy_by_flux(status: dict[str, object]) -> None:
    assert flux.health(JOBS["not seen"] | {"status": status}) == "InProgress"
