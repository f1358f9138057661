"""Why an attempt waits, in the words of Kueue: https://kueue.sigs.k8s.io/docs/concepts/workload/."""

import re
from collections.abc import Iterable
from typing import Any

from paft_operator.planner.observation import QueueReason

JOB_UID_LABEL = "kueue.x-k8s.io/job-uid"
"""Label of a Workload: uid of the Job or JobSet that it stands for."""

_REASON = re.compile(r"[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?")
_HOLDS = {"Evicted": "True", "QuotaReserved": "False", "Admitted": "False"}
"""Conditions that tell why, most telling first, and the status in which they do."""


def queue_reason(workloads: Iterable[dict[str, Any]]) -> QueueReason | None:
    """From the Workload of an attempt; None where it tells nothing, or there is none."""
    told = {
        one["type"]: one
        for workload in workloads
        for one in workload.get("status", {}).get("conditions", ())
        if _HOLDS.get(one.get("type")) == one.get("status")
    }
    conditions = [told[type_] for type_ in _HOLDS if type_ in told]
    if not conditions:
        return None
    reason = str(conditions[0].get("reason", ""))
    message = " ".join(dict.fromkeys(str(one.get("message", "")).strip() for one in conditions))
    return QueueReason(reason if _REASON.fullmatch(reason) else "", message.strip())
