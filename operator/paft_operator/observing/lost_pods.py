"""Pods on nodes that do not answer any more: they are deleted, and stay for as long as nobody removes their node.

Their Job neither ends nor goes away meanwhile, so an attempt is given up a while after its pods had to be gone.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta

from paft_operator.observing.children import Children
from paft_operator.observing.records import JobState, PodRecord

PATIENCE = timedelta(seconds=60)
"""A kubelet that works tells the end of a pod sooner than that, and clocks differ by less."""


def lost_pod(pods: Iterable[PodRecord], now: datetime) -> PodRecord | None:
    """The pod that has been overdue for longest."""
    overdue = [(given_up_at, pod.name, pod) for pod in pods if (given_up_at := _given_up_at(pod)) is not None]
    first = min(overdue, default=None, key=lambda one: one[:2])
    return first[2] if first is not None and first[0] <= now else None


def seconds_until_lost(children: Children, now: datetime) -> float | None:
    """When time alone may make a pod of an active Job a lost one."""
    pods = (
        pod
        for attempt in children.values()
        if attempt.job is not None and attempt.job.state is JobState.ACTIVE
        for pod in attempt.pods
    )
    left = [(at - now).total_seconds() for pod in pods if (at := _given_up_at(pod)) is not None and at > now]
    return min(left, default=None)


def _given_up_at(pod: PodRecord) -> datetime | None:
    is_ending = pod.gone_by is not None and pod.phase not in ("Succeeded", "Failed")
    return pod.gone_by + PATIENCE if is_ending and pod.gone_by is not None else None
