"""Pods that wait for a Secret or another volume."""

from datetime import datetime

import pytest
from tests.paft_operator.observing.records_of import NOW, job_of, later, pod_of

from paft_api.causes import Cause
from paft_operator.observing.children import AttemptChildren
from paft_operator.observing.parsing import pod_record
from paft_operator.observing.records import AttemptKey, PodRecord
from paft_operator.observing.unprepared_pods import seconds_until_unprepared, unprepared_pod

WAITING = pod_of(node="node-1", waiting_reason="ContainerCreating", unprepared_since=NOW)
SITUATIONS: dict[str, tuple[PodRecord, datetime, bool]] = {
    "too early to say": (WAITING, later(29), False),
    "for too long": (WAITING, later(30), True),
    "on no node": (pod_of(unprepared_since=NOW), later(60), False),
    "runs": (pod_of(node="node-1", phase="Running", unprepared_since=NOW), later(60), False),
    "being deleted": (pod_of(node="node-1", gone_by=later(90), unprepared_since=NOW), later(60), False),
    "only its image is missing": (pod_of(node="node-1", waiting_reason="ContainerCreating"), later(60), False),
}


@pytest.mark.parametrize("situation", SITUATIONS)
def test_a_pod_without_its_volumes_is_told_after_a_while(situation: str) -> None:
    pod, now, is_told = SITUATIONS[situation]
    failure = unprepared_pod([pod_of(index=1, phase="Running"), pod], now)

    assert (failure is not None) is is_told
    if failure is not None:
        assert failure.cause is Cause.CONFIG_INVALID
        assert failure.message == "pod tiny-sft-1-0 on node node-1: its volumes or its network are not ready."
        assert "secretRef" in failure.remedy


def test_time_alone_makes_it_one_once() -> None:
    children = {AttemptKey(WAITING.stage, 1): AttemptChildren(job=job_of(), pods=[WAITING])}

    assert seconds_until_unprepared(children, later(4)) == 26
    assert seconds_until_unprepared(children, later(30)) is None
    assert seconds_until_unprepared({}, later(4)) is None


@pytest.mark.parametrize(("status", "since"), [("False", later(1)), ("True", None)])
def test_the_kubelet_tells_it_in_a_condition(status: str, since: datetime | None) -> None:
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
        "spec": {"nodeName": "node-1"},
        "status": {
            "phase": "Pending",
            "conditions": [
                {
                    "type": "PodReadyToStartContainers",
                    "status": status,
                    "lastTransitionTime": later(1).isoformat(),
                }
            ],
        },
    }
    record = pod_record(manifest)

    assert record is not None
    assert record.unprepared_since == since
