"""Since when a Job need not wait in a queue, from what the API server has of it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from paft_operator.observing.parsing import job_record

CREATED = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
LATER = CREATED + timedelta(hours=1)
HELD_BACK = {"type": "Suspended", "status": "True", "reason": "JobSuspended"}
LET_GO = {"type": "Suspended", "status": "False", "reason": "JobResumed"}
CASES = {
    "just created": (False, {}, CREATED),
    "started": (False, {"startTime": LATER}, LATER),
    "created suspended": (True, {}, None),
    "held back": (True, {"conditions": [HELD_BACK]}, None),
    "let go, and not noted yet": (False, {"conditions": [HELD_BACK]}, None),
    "let go": (False, {"conditions": [LET_GO], "startTime": LATER}, LATER),
}


@pytest.mark.parametrize("case", CASES)
def test_the_time_of_admission(case: str) -> None:
    suspend, status, expected = CASES[case]
    told = {key: value.strftime("%Y-%m-%dT%H:%M:%SZ") if key == "startTime" else value for key, value in status.items()}

    record = job_record(_job(suspend, told))

    assert record is not None
    assert record.admitted_at == expected


def _job(suspend: bool, status: dict[str, Any]) -> dict[str, Any]:
    return {
        "metadata": {
            "namespace": "team-a",
            "name": "tiny-sft-1",
            "uid": "uid-job",
            "resourceVersion": "7",
            "creationTimestamp": "2026-01-02T03:04:05Z",
            "labels": {"paft.dev/job-name": "tiny", "paft.dev/stage": "sft", "paft.dev/attempt": "1"},
            "ownerReferences": [{"controller": True, "uid": "uid-paft-job"}],
        },
        "spec": {"suspend": suspend},
        "status": status,
    }
