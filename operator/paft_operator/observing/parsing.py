"""From objects as the API server tells them to records.

A parser returns None for an object that is not a PaftJob's, whatever its labels say otherwise.
"""

import sys
import zlib
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from pydantic_core import to_json

from paft_api import labels
from paft_api.stage_pods import CONTAINER, REPORT_KEY
from paft_api.stages import StageName
from paft_operator.manifests.names import MAXIMUM_ATTEMPT, attempt_name, report_name
from paft_operator.observing.records import (
    STOPPED_AT,
    AttemptKey,
    JobRecord,
    JobSetRecord,
    JobState,
    Output,
    PaftJobRecord,
    PodRecord,
    ReportRecord,
    RunSpecRecord,
)

MAXIMUM_REPORT_CHARACTERS = 262_144
"""A longer text is no report; it is not kept."""


def paft_job_record(manifest: dict[str, Any]) -> PaftJobRecord:
    """From a PaftJob, valid or not."""
    metadata = manifest["metadata"]
    document = {
        "apiVersion": manifest["apiVersion"],
        "kind": manifest["kind"],
        "metadata": {name: metadata[name] for name in ("name", "namespace", "uid", "generation")},
        "spec": manifest.get("spec", {}),
    }
    if manifest.get("status"):
        document["status"] = manifest["status"]
    return PaftJobRecord(
        namespace=metadata["namespace"],
        name=metadata["name"],
        uid=metadata["uid"],
        version=int(metadata["resourceVersion"]),
        generation=metadata["generation"],
        created_at=metadata["creationTimestamp"],
        is_deleting="deletionTimestamp" in metadata,
        has_ended=_has_ended(manifest),
        output=_output(manifest),
        retry_token=metadata.get("annotations", {}).get(labels.RETRY),
        packed=zlib.compress(to_json(document), _QUICKLY),
    )


def job_record(manifest: dict[str, Any]) -> JobRecord | None:
    """From a Job."""
    common = _common(manifest)
    if common is None:
        return None
    is_named_so = common["name"] == attempt_name(common["job_name"], common["stage"], common["attempt"])
    if not is_named_so and _controller(manifest).get("kind") != "JobSet":
        return None
    spec, status = manifest["spec"], manifest.get("status", {})
    verdicts = _verdicts(manifest)
    state = next((state for state in (JobState.FAILED, JobState.COMPLETE) if state in verdicts), JobState.ACTIVE)
    verdict = verdicts.get(state, {})
    return JobRecord(
        **common,
        state=state,
        reason=verdict.get("reason", "") if state is JobState.FAILED else "",
        message=verdict.get("message", "") if state is JobState.FAILED else "",
        finished_at=_instant(status.get("completionTime") or verdict.get("lastTransitionTime")),
        admitted_at=_admitted_at(manifest, common["created_at"]),
        is_deleting="deletionTimestamp" in manifest["metadata"],
        pods=spec.get("completions") or spec.get("parallelism") or 1,
    )


def job_set_record(manifest: dict[str, Any]) -> JobSetRecord | None:
    """From a JobSet."""
    common = _common(manifest)
    templates = [one["template"] for one in manifest["spec"].get("replicatedJobs", ())]
    attempts = [_attempt(template.get("metadata", {}).get("labels", {})) for template in templates]
    known = tuple(attempt for attempt in attempts if attempt is not None)
    if common is None or not known or len(known) < len(attempts):
        return None
    verdicts = _verdicts(manifest)
    states = {"Failed": JobState.FAILED, "Completed": JobState.COMPLETE}
    verdict = next((type_ for type_ in states if type_ in verdicts), "")
    is_held_back = manifest["spec"].get("suspend") or "Suspended" in verdicts
    return JobSetRecord(
        **common,
        attempts=known,
        pods=tuple(template["spec"].get("parallelism") or 1 for template in templates),
        state=states.get(verdict, JobState.ACTIVE),
        finished_at=_instant(verdicts.get(verdict, {}).get("lastTransitionTime")),
        admitted_at=None if is_held_back else common["created_at"],
        is_deleting="deletionTimestamp" in manifest["metadata"],
    )


def _verdicts(manifest: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Conditions that hold, by type."""
    conditions = manifest.get("status", {}).get("conditions", ())
    return {one["type"]: one for one in conditions if one["status"] == "True"}


def _admitted_at(manifest: dict[str, Any], created_at: datetime) -> datetime | None:
    """Where a queue has let a Job go, the Job controller notes the time a moment later."""
    status = manifest.get("status", {})
    if manifest["spec"].get("suspend"):
        return None
    if status.get("startTime"):
        return _instant(status["startTime"])
    was_held_back = any(one["type"] == "Suspended" for one in status.get("conditions", ()))
    return None if was_held_back else created_at


def pod_record(manifest: dict[str, Any]) -> PodRecord | None:
    """From a Pod."""
    common = _common(manifest)
    if common is None:
        return None
    status = manifest.get("status", {})
    conditions = {one["type"]: one for one in status.get("conditions", ())}
    disruption = conditions.get("DisruptionTarget", {})
    scheduled = conditions.get("PodScheduled", {})
    is_unschedulable = scheduled.get("status") == "False" and scheduled.get("reason") == "Unschedulable"
    prepared = conditions.get("PodReadyToStartContainers", {})
    states = _container_states(status)
    waiting, terminated = states.get("waiting", {}), states.get("terminated", {})
    return PodRecord(
        **common,
        phase=status.get("phase", "Pending"),
        reason=status.get("reason", ""),
        message=status.get("message", ""),
        node=manifest["spec"].get("nodeName", ""),
        gone_by=_instant(manifest["metadata"].get("deletionTimestamp")),
        waiting_reason=waiting.get("reason", ""),
        waiting_message=waiting.get("message", ""),
        started_at=_instant(states.get("running", {}).get("startedAt") or terminated.get("startedAt")),
        terminated_at=_instant(terminated.get("finishedAt")),
        terminated_reason=terminated.get("reason", ""),
        exit_code=terminated.get("exitCode"),
        termination_message=terminated.get("message", "") if terminated.get("exitCode") else "",
        disruption_reason=disruption.get("reason", "") if disruption.get("status") == "True" else "",
        disruption_message=disruption.get("message", "") if disruption.get("status") == "True" else "",
        unschedulable_message=scheduled.get("message", "Unschedulable") if is_unschedulable else "",
        is_gated=scheduled.get("reason") == "SchedulingGated",
        scheduled_at=_instant(scheduled.get("lastTransitionTime")) if scheduled.get("status") == "True" else None,
        unprepared_since=_instant(prepared.get("lastTransitionTime")) if prepared.get("status") == "False" else None,
    )


def config_map_record(manifest: dict[str, Any]) -> RunSpecRecord | ReportRecord | None:
    """From a ConfigMap: that of a RunSpec or of a report."""
    common = _common(manifest)
    if common is None:
        return None
    attempt = (common["job_name"], common["stage"], common["attempt"])
    if common["name"] == report_name(*attempt):
        text = (manifest.get("data") or {}).get(REPORT_KEY, "")
        return ReportRecord(**common, text=text if len(text) <= MAXIMUM_REPORT_CHARACTERS else "too long")
    annotations = manifest["metadata"].get("annotations", {})
    generation = annotations.get(labels.GENERATION, "")
    if common["name"] != attempt_name(*attempt) or not generation.isdecimal():
        return None
    return RunSpecRecord(
        **common,
        generation=int(generation),
        stage_digest=annotations.get(labels.STAGE_DIGEST),
        stopped=annotations.get(labels.STOPPED),
        stopped_at=_annotated_instant(annotations.get(STOPPED_AT)),
    )


def _common(manifest: dict[str, Any]) -> dict[str, Any] | None:
    metadata = manifest["metadata"]
    found = metadata.get("labels", {})
    attempt, owner = _attempt(found), _controller(manifest)
    if not owner or attempt is None or labels.JOB_NAME not in found:
        return None
    return {
        "namespace": sys.intern(metadata["namespace"]),
        "name": metadata["name"],
        "uid": metadata["uid"],
        "version": int(metadata["resourceVersion"]),
        # Said of every child of a PaftJob: kept once.
        "owner_uid": sys.intern(owner["uid"]),
        "job_name": sys.intern(found[labels.JOB_NAME]),
        "stage": attempt.stage,
        "attempt": attempt.attempt,
        "created_at": _instant(metadata["creationTimestamp"]),
    }


def _controller(manifest: dict[str, Any]) -> dict[str, Any]:
    """The reference to what controls an object; empty where nothing does."""
    references: list[dict[str, Any]] = manifest["metadata"].get("ownerReferences", [])
    return next((one for one in references if one.get("controller")), {})


def _attempt(found: dict[str, str]) -> AttemptKey | None:
    """The attempt that labels name."""
    stage, attempt = found.get(labels.STAGE, ""), found.get(labels.ATTEMPT, "")
    is_attempt = stage in _STAGES and attempt.isdecimal() and 1 <= int(attempt) <= MAXIMUM_ATTEMPT
    return AttemptKey(_STAGES[stage], int(attempt)) if is_attempt else None


_QUICKLY = 1
_STAGES = {stage.value: stage for stage in StageName}


def _container_states(status: dict[str, Any]) -> dict[str, Any]:
    """State of the stage's container, or of an init container that did not get that far."""
    statuses = {one["name"]: one.get("state", {}) for one in status.get("containerStatuses", ())}
    own: dict[str, Any] = statuses.get(CONTAINER, {})
    if "running" in own or "terminated" in own:
        return own
    return next(_hindering(status), own)


def _hindering(status: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for one in status.get("initContainerStatuses", ()):
        state = one.get("state", {})
        if "waiting" in state or state.get("terminated", {}).get("exitCode"):
            yield state


def _instant(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _annotated_instant(text: str | None) -> datetime | None:
    """Of an annotation, which anybody may have changed."""
    try:
        instant = _instant(text)
    except ValueError:
        return None
    return instant if instant is not None and instant.tzinfo is not None else None


def _has_ended(manifest: dict[str, Any]) -> bool:
    """Whether status says of this very spec that it succeeded or failed."""
    status = manifest.get("status") or {}
    conditions = status.get("conditions") or ()
    return status.get("observedGeneration") == manifest["metadata"]["generation"] and any(
        one.get("type") in ("Succeeded", "Failed") and one.get("status") == "True" for one in conditions
    )


def _output(manifest: dict[str, Any]) -> Output | None:
    """Of a spec that may be invalid."""
    try:
        spec = manifest["spec"]
        uri = spec["merge"]["output"]["uri"]
        endpoint = spec["storage"].get("endpoint") or ""
    except (KeyError, TypeError, AttributeError):
        return None
    if not isinstance(uri, str) or not isinstance(endpoint, str):
        return None
    return Output(endpoint.rstrip("/"), uri.rstrip("/"))
