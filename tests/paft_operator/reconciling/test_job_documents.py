"""PaftJobs that the API server let through and that are none, and statuses that nobody can have written."""

import copy
from datetime import timedelta
from typing import Any

import pytest
from tests.paft_operator.cluster_jobs import minimal_job
from tests.paft_operator.observing.records_of import NOW

from paft_api.status import ConditionType, PaftJobStatus, Phase
from paft_operator.observing.parsing import paft_job_record
from paft_operator.reconciling.job_documents import SpecInvalid, read_job, status_in, status_of_invalid_spec

STATUS = {
    "observedGeneration": 3,
    "phase": "Succeeded",
    "conditions": [
        {
            "type": "Succeeded",
            "status": "True",
            "reason": "JobSucceeded",
            "message": "",
            "lastTransitionTime": "2026-01-02T03:00:00Z",
            "observedGeneration": 3,
        },
        {
            "type": "SftSucceeded",
            "status": "True",
            "reason": "Completed",
            "message": "",
            "lastTransitionTime": "2026-01-02T03:00:00Z",
            "observedGeneration": 3,
        },
    ],
    "stages": [{"name": "sft", "state": "Succeeded", "attempt": 1}],
}


def _manifest(status: object = None) -> dict[str, Any]:
    manifest = copy.deepcopy(minimal_job())
    manifest["metadata"] |= {
        "namespace": "team-a",
        "uid": "u",
        "resourceVersion": "7",
        "generation": 4,
        "creationTimestamp": "2026-01-02T03:04:05Z",
        "managedFields": [{"manager": "kubectl"}],
        "annotations": {"paft.dev/retry": "again", "other": "x"},
    }
    return manifest | ({"status": status} if status is not None else {})


def test_a_valid_job() -> None:
    record = paft_job_record(_manifest(STATUS))
    job = read_job(record)

    assert (job.metadata.name, job.metadata.generation, job.spec.merge.output.uri) == (
        "tiny",
        4,
        "s3://models/tiny-paft/",
    )
    assert job.status == status_in(record)
    assert (record.retry_token, record.has_ended) == ("again", False)
    assert b"managedFields" not in record.document


def test_a_job_has_ended_where_status_says_so_of_this_spec() -> None:
    manifest = _manifest(STATUS | {"observedGeneration": 4})

    assert paft_job_record(manifest).has_ended


def test_every_fault_of_an_invalid_spec_is_named() -> None:
    manifest = _manifest(STATUS)
    manifest["spec"]["sft"]["lora"] = {"r": 0}
    manifest["spec"]["merge"]["method"] = "tise"
    record = paft_job_record(manifest)

    with pytest.raises(SpecInvalid) as caught:
        read_job(record)

    assert str(caught.value) == (
        "spec.sft.lora.r: 0 is out of bounds; it must be at least 1; "
        'spec.merge.method: "tise" is not allowed; use linear, task_arithmetic, ties, dare_linear, dare_ties, della, '
        "breadcrumbs, slerp, sce, model_stock, sft_only or preference_only. "
        "Did you mean ties?"
    )
    assert caught.value.status == status_in(record)


def test_the_status_of_an_invalid_spec() -> None:
    before = status_in(paft_job_record(_manifest(STATUS)))
    assert before is not None

    status = status_of_invalid_spec(before, "spec.sft.lora.r: no.", generation=4, now=NOW)

    told = {one.type: (one.status, one.reason) for one in status.conditions}
    assert told == {
        ConditionType.SFT_SUCCEEDED: ("True", "Completed"),
        ConditionType.VALIDATED: ("False", "InvalidSpec"),
        ConditionType.RECONCILING: ("False", "Progressing"),
        ConditionType.STALLED: ("True", "InvalidSpec"),
    }
    stalled = status.condition(ConditionType.STALLED)
    assert stalled is not None
    assert stalled.message.startswith("spec.sft.lora.r: no. Mend the fields named")
    assert (status.observed_generation, status.phase, status.stages) == (4, Phase.FAILED, before.stages)


def test_saying_it_again_changes_nothing() -> None:
    once = status_of_invalid_spec(PaftJobStatus(), "bad.", generation=4, now=NOW)

    assert status_of_invalid_spec(once, "bad.", generation=4, now=NOW + timedelta(hours=1)) == once


@pytest.mark.parametrize("status", [{"phase": "Dancing"}, {"unknown": 1}, {"stages": [{"name": "sft", "attempt": -1}]}])
def test_a_status_that_nobody_can_have_written_is_taken_for_none(status: dict[str, object]) -> None:
    assert read_job(paft_job_record(_manifest(status))).status is None


@pytest.mark.parametrize("spec", [{}, {"merge": None}, {"merge": {"output": 7}, "storage": []}])
def test_any_spec_has_a_record(spec: dict[str, object]) -> None:
    record = paft_job_record(_manifest() | {"spec": spec})

    assert record.output is None
    with pytest.raises(SpecInvalid):
        read_job(record)
