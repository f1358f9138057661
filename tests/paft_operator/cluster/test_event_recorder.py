"""Events: the whole object, and names by which none is told twice."""

from datetime import UTC, datetime

import pytest
from tests.paft_operator.cluster.test_index import paft_job

from paft_operator.cluster.event_recorder import event_manifest
from paft_operator.planner.actions import Event

NOW = datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC)
STARTED = Event(type="Normal", reason="SftStarted", message="sft attempt 1 started")


def test_the_whole_event() -> None:
    assert event_manifest(paft_job(), STARTED, instance="pod_1", now=NOW) == {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"name": "tiny.47cbed1d6d6d594a", "namespace": "team-a"},
        "eventTime": "2026-01-02T03:04:05.000678Z",
        "reportingController": "paft.dev/paft-operator",
        "reportingInstance": "pod_1",
        "action": "Reconcile",
        "reason": "SftStarted",
        "note": "sft attempt 1 started",
        "type": "Normal",
        "regarding": {
            "apiVersion": "paft.dev/v1alpha1",
            "kind": "PaftJob",
            "namespace": "team-a",
            "name": "tiny",
            "uid": "paft-job-uid",
        },
    }


def _name(**fields: object) -> str:
    job = paft_job(**{name: value for name, value in fields.items() if name not in ("reason", "message")})
    event = Event(type="Normal", reason=str(fields.get("reason", "A")), message=str(fields.get("message", "a")))
    name: str = event_manifest(job, event, instance="x", now=NOW)["metadata"]["name"]
    return name


def test_another_process_gives_the_same_event_the_same_name() -> None:
    names = {
        event_manifest(paft_job(version=version), STARTED, instance=instance, now=now)["metadata"]["name"]
        for version, instance, now in ((1, "pod_1", NOW), (2, "pod_2", datetime.now(UTC)))
    }

    assert len(names) == 1


@pytest.mark.parametrize(
    "other", [{"reason": "B"}, {"message": "b"}, {"generation": 2}, {"uid": "another"}, {"name": "another"}]
)
def test_another_event_has_another_name(other: dict[str, object]) -> None:
    assert _name() != _name(**other)


def test_a_long_text_is_shortened_to_what_the_api_server_takes() -> None:
    event = Event(type="Warning", reason="SftFailed", message="x" * 5000)

    assert len(event_manifest(paft_job(), event, instance="y" * 300, now=NOW)["note"]) == 1024
    assert len(event_manifest(paft_job(), event, instance="y" * 300, now=NOW)["reportingInstance"]) == 128
