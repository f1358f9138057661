"""Pods that do not come although their Job may have them."""

from datetime import datetime

import pytest
from tests.paft_operator.observing.records_of import job_of, later, pod_of

from paft_operator.observing.children import AttemptChildren
from paft_operator.observing.missing_pods import missing_pods, seconds_until_missing
from paft_operator.observing.records import AttemptKey, JobRecord, JobState, PodRecord

BOTH = job_of(pods=2)
SITUATIONS: dict[str, tuple[JobRecord, list[PodRecord], datetime, str]] = {
    "too early to say": (BOTH, [], later(9), ""),
    "none of two": (BOTH, [], later(10), "Job tiny-sft-1 has 0 of 2 pods: others are not created."),
    "one of two": (BOTH, [pod_of()], later(60), "Job tiny-sft-1 has 1 of 2 pods: others are not created."),
    "both": (BOTH, [pod_of(), pod_of(index=1)], later(60), ""),
    "in a queue": (job_of(admitted_at=None), [], later(60), ""),
    "being deleted": (job_of(is_deleting=True), [], later(60), ""),
    "ended": (job_of(state=JobState.FAILED), [], later(60), ""),
}


@pytest.mark.parametrize("situation", SITUATIONS)
def test_missing_pods_are_told_when_they_should_be_there(situation: str) -> None:
    job, pods, now, message = SITUATIONS[situation]
    failure = missing_pods(job, pods, now)

    assert (failure.message if failure is not None else "") == message
    assert failure is None or "serviceAccountName" in failure.remedy


def test_time_alone_makes_them_missing_once() -> None:
    children = {AttemptKey(BOTH.stage, 1): AttemptChildren(job=BOTH, pods=[])}

    assert seconds_until_missing(children, later(4)) == 6
    assert seconds_until_missing(children, later(10)) is None
    assert seconds_until_missing({}, later(4)) is None
