"""What may change of a job that runs. Which field goes into which digest, `test_digests` knows."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from hack.control_plane.client import KubernetesClient, Object
from kubernetes.client.exceptions import ApiException
from tests.paft_api.admission import PAFT_JOB, Admission, refusal
from tests.paft_api.changes import ABSENT, ALLOWED_BY, change, changed_job
from tests.paft_api.complete_job import complete_document
from tests.paft_api.test_digests import CHANGES, KEEPS, ONE_VALUE

from paft_api.crd.transitions import frozen_fields
from paft_api.spec import PaftJob, PaftJobSpec

STAGES = ("sft", "preference", "merge")
ADDRESSES: dict[str, set[str]] = {
    "base.uri": set(STAGES),
    "storage.artifactsUri": set(STAGES),
    "sft.data.train[0].uri": {"sft"},
    "preference.data.train[0].uri": {"preference"},
    "merge.output.uri": {"merge"},
    "sft.data.eval[0].uri": {"sft"},
    "sft.data.eval[0].format": {"sft"},
    "preference.data.eval[0].uri": {"preference"},
    **{
        f"{arm}.data.{rows}[0].{name}": {arm}
        for arm in ("sft", "preference")
        for rows in ("train", "eval")
        for name in ("fileType", "split")
    },
    **{f"{arm}.data.eval[0].columns": {arm} for arm in ("sft", "preference")},
}
"""No part of a digest, which knows data by content; but where the content is, and what was written there.

As for the rest of a digest: the stages whose start freezes it.
"""
FREE = {path: value for path, value in KEEPS.items() if path not in ADDRESSES}
FROZEN = CHANGES | {path: (KEEPS[path], stages) for path, stages in ADDRESSES.items()}

Started = Callable[..., Object]


@pytest.fixture
def started(kubernetes: KubernetesClient, admission: Admission, namespace: str) -> Started:
    """Creates a PaftJob in which some stages have started. `entries`: the fields of their status."""

    def create(*stages: str, document: dict[str, Any] | None = None, **entries: object) -> Object:
        job = complete_document() if document is None else json.loads(json.dumps(document))
        job["metadata"] = {"generateName": "job-", "namespace": namespace}
        created = kubernetes.create(job)
        entry = entries or {"state": "Running", "attempt": 1}
        others = [stage for stage in ("prepare", *STAGES) if stage not in stages]
        created["status"] = {
            "stages": [{"name": stage, **entry} for stage in stages]
            + [{"name": stage, "state": "Pending", "attempt": 0} for stage in others]
        }
        return kubernetes.replace(created, subresource="status")

    return create


def test_what_a_stage_depends_on_cannot_change_once_it_has_started(
    kubernetes: KubernetesClient, started: Started
) -> None:
    jobs = {stage: started(stage) for stage in STAGES}
    allowing = {
        path: started(*FROZEN[path][1], document=changed_job(changes))
        for path, changes in ALLOWED_BY.items()
        if path in FROZEN
    }

    answers = {
        (path, stage): _update(kubernetes, allowing.get(path, jobs[stage]), {path: value})
        for path, (value, stages) in FROZEN.items()
        for stage in stages
    }

    assert {key: answer for key, answer in answers.items() if answer != [_frozen(*key)]} == {}


def test_everything_can_change_before(kubernetes: KubernetesClient, started: Started) -> None:
    jobs = {stage: started(*(other for other in STAGES if other != stage)) for stage in STAGES} | {"": started()}

    answers = {
        (path, stages): _update(
            kubernetes,
            jobs["" if len(stages) > 1 else next(iter(stages))],
            ALLOWED_BY.get(path, {}) | {path: value},
        )
        for path, (value, stages) in ((path, (value, frozenset(stages))) for path, (value, stages) in FROZEN.items())
    }

    assert {key: answer for key, answer in answers.items() if answer != []} == {}


def test_the_rest_can_change_at_any_time(kubernetes: KubernetesClient, started: Started) -> None:
    job = started(*STAGES)

    answers = {path: _update(kubernetes, job, ALLOWED_BY.get(path, {}) | {path: value}) for path, value in FREE.items()}

    assert {path: answer for path, answer in answers.items() if answer != []} == {}


def test_every_frozen_field_of_the_rules_is_one_of_the_tables() -> None:
    named = {_without_indices(path) for path in (*FROZEN, *ONE_VALUE)} | {"preference.method"}

    assert {path for path, _ in frozen_fields()} == named


def test_evaluations_that_decide_nothing_can_change(kubernetes: KubernetesClient, started: Started) -> None:
    job = started("sft", document=changed_job({"sft.training.earlyStopping": ABSENT, "sft.training.publish": ABSENT}))

    for changes in (
        {"sft.training.evalSteps": 50, "sft.data.eval": ABSENT},
        {"sft.data.eval[0].uri": "s3://elsewhere/rows.jsonl", "sft.training.publish": "last"},
    ):
        assert _update(kubernetes, job, changes) == []
    assert _update(kubernetes, job, {"sft.training.publish": "best"}) == [_frozen("sft.training.publish", "sft")]
    (told,) = _update(kubernetes, job, {"sft.training.earlyStopping": {}})
    assert "earlyStopping" in str(told)


@pytest.mark.parametrize(
    ("entry", "is_frozen"),
    [
        ({"state": "Pending"}, False),
        ({"state": "Pending", "attempt": 0}, False),
        ({"state": "Pending", "attempt": 1}, True),
        ({"state": "Waiting", "attempt": 1}, True),
        ({"state": "Stopped", "attempt": 2}, True),
        ({"state": "Failed", "attempt": 4}, True),
        # Found finished: nothing was tried.
        ({"state": "Succeeded", "attempt": 0}, True),
        ({"attempt": 1}, True),
    ],
)
def test_a_stage_has_started_if_it_is_not_pending_or_was_tried(
    entry: dict[str, object], is_frozen: bool, kubernetes: KubernetesClient, started: Started
) -> None:
    job = started("sft", **entry)

    assert bool(_update(kubernetes, job, {"sft.lora.r": 4})) == is_frozen


def test_writing_defaults_out_or_leaving_them_away_is_no_change(kubernetes: KubernetesClient, started: Started) -> None:
    minimal = _minimal_document()
    written_out = minimal | {"spec": PaftJobSpec.model_validate_json(json.dumps(minimal["spec"])).to_document()}

    for before, after in ((minimal, written_out), (written_out, minimal)):
        job = started(*STAGES, document=before)
        assert kubernetes.replace(job | {"spec": after["spec"]})["metadata"]["generation"] == 2


def test_a_default_that_becomes_another_value_is_a_change(kubernetes: KubernetesClient, started: Started) -> None:
    job = started(*STAGES, document=_minimal_document())

    assert _update(kubernetes, job, {"sft.lora": {"r": 8}}) == [_frozen("sft.lora.r", "sft")]
    assert _update(kubernetes, job, {"sft.training": {"maxSteps": 5}}) == [_frozen("sft.training.maxSteps", "sft")]
    assert _update(kubernetes, job, {"sft.training": {"deepspeed": {"steps_per_print": 1}}}) == [
        _frozen("sft.training.deepspeed", "sft")
    ]
    assert _update(kubernetes, job, {"merge.weights": [{"sft": 2}]}) == [_frozen("merge.weights[0].sft", "merge")]
    everywhere_and_in_layers = [{}, {"layers": {}}]
    assert _update(kubernetes, job, {"merge.weights": everywhere_and_in_layers}) == [
        _frozen("merge.weights[0].modules", "merge")
    ]
    assert _update(kubernetes, job, {"merge.candidates": [{"name": "other"}]}) == [
        _frozen("merge.candidates[0].method", "merge")
    ]


def test_entries_are_compared_with_all_that_may_be_unset_in_them(
    kubernetes: KubernetesClient, started: Started
) -> None:
    everywhere = [{"sft": 0.5}, {"sft": 0.6}]
    document = changed_job({"merge.weights": everywhere})
    job = started(*STAGES, document=document)

    written_out = [{"sft": 0.5, "preference": 1.0}, {"sft": 0.6, "preference": 1}]
    assert _update(kubernetes, job, {"merge.weights": written_out}) == []
    for field, value in (("modules", "*"), ("gradient", [{"sft": 1}, {"sft": 1}]), ("layers", {})):
        changed = [everywhere[0], {field: value} | ({} if field == "gradient" else {"sft": 0.6})]
        answer = _update(kubernetes, job, {"merge.weights": changed})
        assert len(answer) == 1, field
        assert "merge: weights[]" in answer[0]


def test_the_largest_merge_is_within_the_servers_budget(kubernetes: KubernetesClient, started: Started) -> None:
    anchors = [{"sft": 0.5, "preference": 0.5}] * 16
    some = {"modules": "x" * 256, "layers": {"first": 1, "last": 2}, "gradient": anchors}
    weights = [{"gradient": anchors}, *[some] * 31]
    candidates = [{"name": f"c-{number}", "method": "linear", "weights": weights} for number in range(16)]
    job = started(*STAGES, document=changed_job({"merge.weights": weights, "merge.candidates": candidates}))

    path = "merge.candidates[15].weights[31].gradient[15].sft"
    assert _update(kubernetes, job, {path: 0.25}) == [_frozen(path, "merge")]


def test_removing_a_value_is_a_change(kubernetes: KubernetesClient, started: Started) -> None:
    job = started(*STAGES)

    for path in (
        "base.chatTemplate",
        "sft.training.maxSteps",
        "preference.lora",
        "merge.density",
        "merge.weights[1]",
        "merge.candidates[2]",
        "merge.candidates",
    ):
        assert len(_update(kubernetes, job, {path: ABSENT})) == 1, path


def test_a_finished_job_can_be_labelled_deleted_and_let_go(kubernetes: KubernetesClient, started: Started) -> None:
    job = started(*STAGES, state="Succeeded", attempt=1)
    name, namespace = job["metadata"]["name"], job["metadata"]["namespace"]

    labelled = {"metadata": {"labels": {"team": "a"}, "finalizers": ["example.com/keep"]}}
    assert kubernetes.patch(PAFT_JOB, name, namespace, labelled)["metadata"]["generation"] == 1
    kubernetes.delete(PAFT_JOB, name, namespace, propagation="Foreground")
    assert kubernetes.get(PAFT_JOB, name, namespace)["metadata"]["deletionTimestamp"]
    kubernetes.patch(PAFT_JOB, name, namespace, {"metadata": {"finalizers": []}})

    assert kubernetes.find(PAFT_JOB, name, namespace) is None


def _update(kubernetes: KubernetesClient, job: Object, changes: dict[str, object]) -> list[str]:
    """What a dry run of an update says against it."""
    changed = json.loads(json.dumps(job))
    for path, value in changes.items():
        change(changed["spec"], path, value)
    try:
        kubernetes.replace(changed, dry_run=True)
    except ApiException as error:
        return [f"{finding.field}: {finding.message}" for finding in refusal(error).findings]
    return []


def _frozen(path: str, stage: str) -> str:
    block, _, below = path.partition(".")
    below = _without_indices(below)
    dependents = stage if block in STAGES else "a stage that depends on it"
    return (
        f"spec.{block}: {below} cannot change once {dependents} has started; create another PaftJob for it, which "
        "finds finished work that it shares"
    )


def _without_indices(path: str) -> str:
    return re.sub(r"\[\d+\]", "[]", path)


def _minimal_document() -> dict[str, Any]:
    document = complete_document()
    spec = document["spec"]
    document["spec"] = {
        "base": {"uri": spec["base"]["uri"]},
        "storage": {"artifactsUri": spec["storage"]["artifactsUri"].rstrip("/")},
        "sft": {"data": spec["sft"]["data"]},
        "preference": {"data": spec["preference"]["data"]},
        "merge": {"output": {"uri": spec["merge"]["output"]["uri"].rstrip("/")}},
    }
    assert PaftJob.model_validate_json(json.dumps(document))
    return document
