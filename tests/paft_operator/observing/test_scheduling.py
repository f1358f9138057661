"""When the pods of an attempt got their places, from what the API server has of them."""

import json
from datetime import datetime
from typing import Any

import pytest
from tests.paft_operator.cluster_jobs import minimal_job
from tests.paft_operator.observing.records_of import JOB_UID, NOW, job_of, later, pod_of, run_spec_of

from paft_api.spec import PaftJob
from paft_operator.observing.attempts import observe
from paft_operator.observing.children import children_of
from paft_operator.observing.parsing import pod_record


def _scheduled(status: str, reason: str | None = None) -> dict[str, Any]:
    condition = {"type": "PodScheduled", "status": status, "lastTransitionTime": later(7).isoformat()}
    return condition | ({"reason": reason} if reason else {})


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [([], None), ([_scheduled("False", "Unschedulable")], None), ([_scheduled("True")], later(7))],
)
def test_the_scheduler_tells_it_in_a_condition(conditions: list[dict[str, Any]], expected: datetime | None) -> None:
    manifest = {
        "metadata": {
            "name": "tiny-sft-1-0",
            "namespace": "team-a",
            "uid": "uid",
            "resourceVersion": "1",
            "creationTimestamp": NOW.isoformat(),
            "labels": {"paft.dev/job-name": "tiny", "paft.dev/stage": "sft", "paft.dev/attempt": "1"},
            "ownerReferences": [{"uid": "owner", "controller": True}],
        },
        "spec": {},
        "status": {"phase": "Pending", "conditions": conditions},
    }
    record = pod_record(manifest)

    assert record is not None
    assert record.scheduled_at == expected


@pytest.mark.parametrize(("seconds", "expected"), [((5, 9), later(9)), ((5, None), None), ((5,), None)])
def test_an_attempt_has_its_place_when_the_last_of_its_pods_has(
    seconds: tuple[float | None, ...], expected: datetime | None
) -> None:
    document = minimal_job()
    document["metadata"] |= {"namespace": "team-a", "uid": JOB_UID, "generation": 1}
    pods = [pod_of(index=index, scheduled_at=None if one is None else later(one)) for index, one in enumerate(seconds)]
    children = children_of(JOB_UID, [job_of(pods=2), run_spec_of(), *pods])

    (seen,) = observe(PaftJob.model_validate_json(json.dumps(document)), children, later(20)).attempts
    assert seen.scheduled_at == expected
