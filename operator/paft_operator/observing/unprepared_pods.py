"""Pods on a node whose volumes or network do not come; the kubelet says why in Events of the pod only."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from paft_api.causes import Cause
from paft_api.report import Failure
from paft_operator.observing.children import Children
from paft_operator.observing.records import PodRecord

PATIENCE = timedelta(seconds=30)
"""Longer than a kubelet takes to mount what is there."""

REMEDY = (
    "Look at the pod's Events (kubectl describe pod): a Secret that the job names (secretRef) may not exist or lack "
    "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the place of base.cache may not be there."
)


def unprepared_pod(pods: Iterable[PodRecord], now: datetime) -> Failure | None:
    """Why an attempt waits one of whose pods is not prepared; None while that may still be on its way."""
    for pod in pods:
        due = _due(pod)
        if due is not None and now >= due:
            message = f"pod {pod.name} on node {pod.node}: its volumes or its network are not ready."
            return Failure(cause=Cause.CONFIG_INVALID, message=message, remedy=REMEDY)
    return None


def seconds_until_unprepared(children: Children, now: datetime) -> float | None:
    """When time alone may make a pod an unprepared one."""
    dues = [due for attempt in children.values() for pod in attempt.pods if (due := _due(pod)) is not None]
    return min(((due - now).total_seconds() for due in dues if due > now), default=None)


def _due(pod: PodRecord) -> datetime | None:
    is_waiting = pod.phase == "Pending" and pod.node and pod.gone_by is None
    return pod.unprepared_since + PATIENCE if is_waiting and pod.unprepared_since is not None else None
