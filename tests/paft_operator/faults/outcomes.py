"""What came of a life cycle, and what may differ between two of them."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from typing import Any

from hack.control_plane.client import Object

from paft_api.stage_time import StageTime
from paft_operator.observing.records import STOPPED_AT

Change = tuple[str, str]
"""Status and reason of a condition, or a stage's state and attempt."""

PLACEHOLDER = "JOB"
UID = "00000000-0000-0000-0000-000000000000"
_FINISHED = ("Succeeded", "Failed")
_TIMES = ("time", "endedTime")
_MEASURED = ("tokensPerSecond", "goodput", *_TIMES)


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """All that is compared. `children`: whole manifests but for what the API server adds, without names of their own.

    `changes`: per condition, phase and stage what it went through. `milestones`: what was final, in its order, and
    together what one status told of first.
    """

    created_jobs: list[str]
    pods: dict[str, int]
    children: dict[str, Object]
    changes: dict[str, list[Change]]
    milestones: list[list[str]]
    final: dict[str, Any]
    events: dict[str, int]
    backwards: list[str]
    faults: list[str]


def compare(expected: Outcome, seen: Outcome, *, may_skip: Sequence[str]) -> list[str]:
    """What is wrong with an outcome, in words; nothing if it is as it should be.

    `may_skip`: reasons of conditions that status may have passed over, since what they tell of was over before the
    operator could look; a change is always told.
    """
    return [
        *seen.faults,
        *seen.backwards,
        *_difference("Jobs that were ever created", expected.created_jobs, seen.created_jobs),
        *_difference("pods per attempt", expected.pods, seen.pods),
        *_differing_children(expected.children, seen.children),
        *_differing_changes(expected.changes, seen.changes, may_skip),
        *_differing_milestones(expected.milestones, seen.milestones),
        *_difference("final status", expected.final, seen.final),
        *_surplus_events(expected.events, seen.events),
    ]


def _difference(what: str, expected: object, seen: object) -> Iterator[str]:
    if expected != seen:
        yield f"{what}: expected {expected}, but there is {seen}"


def _differing_milestones(expected: list[list[str]], seen: list[list[str]]) -> Iterator[str]:
    """Those that were told at once have no order, and get that of the expected ones."""
    order = list(chain.from_iterable(expected))
    told: list[str] = []
    for group in seen:
        due = order[len(told) : len(told) + len(group)]
        told += due if sorted(due) == sorted(group) else group
    yield from _difference("order of milestones", order, told)


def _differing_children(expected: dict[str, Object], seen: dict[str, Object]) -> Iterator[str]:
    yield from _difference("children", sorted(expected), sorted(seen))
    for name in sorted({*expected} & {*seen}):
        yield from _difference(name, expected[name], seen[name])


def _differing_changes(
    expected: dict[str, list[Change]], seen: dict[str, list[Change]], may_skip: Sequence[str]
) -> Iterator[str]:
    yield from _difference("what status tells of", sorted(expected), sorted(seen))
    for what in sorted({*expected} & {*seen}):
        if not is_same_course(expected[what], seen[what], may_skip):
            yield f"{what} went through {seen[what]} instead of {expected[what]}"


def is_same_course(expected: Sequence[Change], seen: Sequence[Change], may_skip: Sequence[str]) -> bool:
    """Whether all changes are there in their order, but for skipped ones and what is then no change any more."""
    left = list(seen)
    last: Change | None = None
    for change in expected:
        if left and left[0] == change:
            last = left.pop(0)
        elif change != last and change[1] not in may_skip:
            return False
    return not left


def _surplus_events(expected: dict[str, int], seen: dict[str, int]) -> Iterator[str]:
    """An Event may be lost with the operator that would have sent it; none may be told twice."""
    surplus = Counter(seen) - Counter(expected)
    if surplus:
        yield f"Events told too often: {dict(surplus)}"


def changes_of(statuses: Sequence[Object]) -> dict[str, list[Change]]:
    """What each condition, the phase and each stage went through."""
    changes: dict[str, list[Change]] = {}
    for status in statuses:
        for what, now in _facts(status):
            course = changes.setdefault(what, [])
            if not course or course[-1] != now:
                course.append(now)
    return changes


def _facts(status: Object) -> Iterator[tuple[str, Change]]:
    yield "phase", (status["phase"], status["phase"])
    for condition in status["conditions"]:
        yield condition["type"], (condition["status"], condition["reason"])
    for stage in status.get("stages", ()):
        yield f"stage {stage['name']}", (f"{stage.get('attempt', 0)}/{stage.get('failures', 0)}", stage["state"])


def milestones_of(statuses: Sequence[Object]) -> list[list[str]]:
    """What became final, per status: conditions that are true or false, but those that only say what goes on now."""
    told: list[list[str]] = []
    before: set[str] = set()
    for status in statuses:
        now = {
            f"{one['type']}={one['status']}"
            for one in status["conditions"]
            if one["status"] != "Unknown" and one["type"] not in ("Reconciling", "Stalled")
        }
        if now - before:
            told.append(sorted(now - before))
        before = now
    return told


def backwards_of(statuses: Sequence[Object]) -> list[str]:
    """Steps back: a finished stage that is not, an attempt or a failure fewer, an older generation.

    A new generation of the spec is judged anew.
    """
    return [told for before, after in pairwise(statuses) for told in _steps_back(before, after)]


def _steps_back(before: Object, after: Object) -> Iterator[str]:
    if after["observedGeneration"] < before["observedGeneration"]:
        yield "status went back to an older generation"
    if after["observedGeneration"] != before["observedGeneration"]:
        return
    later = {stage["name"]: stage for stage in after.get("stages", ())}
    for stage in before.get("stages", ()):
        now = later.get(stage["name"], {"state": "absent"})
        if stage["state"] == "Succeeded" and now["state"] != "Succeeded":
            yield f"{stage['name']} had succeeded and is {now['state']} again"
        for count in ("attempt", "failures"):
            if now.get(count, 0) < stage.get(count, 0):
                yield f"{stage['name']}: {count} went from {stage[count]} back to {now.get(count, 0)}"
    if before["phase"] in _FINISHED and after["phase"] != before["phase"]:
        yield f"the phase went from {before['phase']} to {after['phase']}"


def _adds_up(document: Object) -> bool:
    """Whether the parts of a stage's time are all of it."""
    time = StageTime.model_validate(document, strict=False)
    return sum(time.parts.values()) == (time.until - time.since).total_seconds()


def final_of(status: Object) -> dict[str, Any]:
    """The last status, without instants and what depends on how long things took: of times, whether they add up."""
    stages = [
        {name: value for name, value in stage.items() if not name.endswith("At") and name not in _MEASURED}
        | {name: _adds_up(stage[name]) for name in _TIMES if name in stage}
        for stage in status["stages"]
    ]
    conditions = [
        {name: value for name, value in one.items() if name != "lastTransitionTime"} for one in status["conditions"]
    ]
    timeless = {name: value for name, value in status.items() if name not in ("startedAt", "activeSeconds")}
    return timeless | {"stages": stages, "conditions": conditions}


def child_of(manifest: Object) -> Object:
    """A child without what the API server adds."""
    metadata = manifest["metadata"]
    kept = {name: metadata[name] for name in ("name", "labels", "annotations", "ownerReferences") if name in metadata}
    rest = {name: value for name, value in manifest.items() if name not in ("metadata", "status")}
    if "annotations" in kept:
        kept["annotations"] = {name: value for name, value in kept["annotations"].items() if name != STOPPED_AT}
    if metadata["name"].endswith("-report"):
        # Written by pods, with the time.
        rest["data"] = sorted(rest.get("data") or ())
    if manifest["kind"] == "Job":
        for part in (rest["spec"].get("selector"), rest["spec"]["template"]["metadata"]):
            _drop_controller_uid(part)
        _drop_controller_uid(kept)
    if manifest["kind"] == "Service":
        rest["spec"] = {name: value for name, value in rest["spec"].items() if name not in ("clusterIP", "clusterIPs")}
    return {"metadata": kept, **rest}


def _drop_controller_uid(part: Object | None) -> None:
    for labels in ("matchLabels", "labels"):
        if part and labels in part:
            part[labels] = {name: value for name, value in part[labels].items() if "controller-uid" not in name}


def without_names(document: Any, *, job: str, namespace: str, uid: str) -> Any:
    """The same of any PaftJob."""
    text = json.dumps(document)
    for name, placeholder in ((uid, UID), (namespace, "NAMESPACE"), (job, PLACEHOLDER)):
        text = text.replace(name, placeholder)
    return json.loads(text)
