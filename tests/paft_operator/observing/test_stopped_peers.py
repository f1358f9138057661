"""Pods that the Job controller stops, since another has failed, do not tell why their attempt failed."""

from tests.paft_operator.observing.records_of import ended_pod, job_of, told_by_launcher

from paft_api.causes import EXIT_STOPPED, Cause
from paft_operator.observing.failures import failure_of_attempt
from paft_operator.observing.records import JobState, PodRecord

FAILED = job_of(state=JobState.FAILED, pods=2)


def _cause(*pods: PodRecord) -> Cause:
    return failure_of_attempt(FAILED, pods, None).cause


def _lost(at: float) -> PodRecord:
    return ended_pod(67, index=0, at=at, told=told_by_launcher(Cause.PEER_LOST, code=67))


def test_one_that_stopped_after_the_failure_is_a_consequence() -> None:
    assert _cause(_lost(10), ended_pod(EXIT_STOPPED, index=1, at=12)) is Cause.PEER_LOST


def test_one_that_was_stopped_before_is_the_reason() -> None:
    assert _cause(_lost(12), ended_pod(EXIT_STOPPED, index=1, at=10)) is Cause.PREEMPTED


def test_where_all_were_stopped_somebody_did_so() -> None:
    assert _cause(ended_pod(EXIT_STOPPED, index=0, at=10), ended_pod(EXIT_STOPPED, index=1, at=12)) is Cause.PREEMPTED
