"""Events: each transition between two statuses told once, for people."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from paft_api.conditions import JOB_FAILED, JOB_SUCCEEDED, OUTPUT_IN_USE, RESUMED, STARTED, SUSPENDED
from paft_api.stages import StageName
from paft_api.status import ConditionType, PaftJobStatus, StageState, StageStatus
from paft_operator.planner.actions import Event

_NONE: Mapping[StageName, StageStatus] = MappingProxyType({})


def transition_events(
    before: PaftJobStatus, after: PaftJobStatus, *, judged: Mapping[StageName, StageStatus] = _NONE
) -> tuple[Event, ...]:
    """What happened between two statuses, in the order of stages, the job's end last.

    `judged`: what was said of an attempt that has failed, where `after` speaks of the next one already.
    """
    events = [
        event for name in StageName for event in _stage_events(before.stage(name), after.stage(name), judged.get(name))
    ]
    return (
        *events,
        *_waiting_events(before, after),
        *_suspension_events(before, after),
        *_terminal_events(before, after),
    )


def _stage_events(before: StageStatus, after: StageStatus, judged: StageStatus | None) -> Iterator[Event]:
    title = str(after.name).capitalize()
    failed_again = after.failures > before.failures or (
        after.state is StageState.FAILED and before.state is not StageState.FAILED
    )
    # A disruption may not count, and is told all the same.
    was_disrupted = judged is not None and before.state is StageState.RUNNING
    if failed_again or was_disrupted:
        failed = judged if judged is not None else after
        yield Event(
            type="Warning",
            reason=f"{title}Failed",
            message=f"{failed.name} attempt {failed.attempt} failed: {failed.cause}: {failed.message}",
        )
    if after.state is StageState.STOPPED and before.state is StageState.RUNNING:
        yield Event(type="Normal", reason=f"{title}Stopped", message=f"{after.name} stopped after saving")
    if after.state is StageState.RUNNING and after.attempt > before.attempt:
        yield Event(type="Normal", reason=f"{title}{STARTED}", message=f"{after.name} attempt {after.attempt} started")
    for warning in after.warnings:
        if warning not in before.warnings:
            yield Event(type="Warning", reason=f"{title}Limited", message=f"{after.name}: {warning}")
    if after.state is StageState.SUCCEEDED and before.state is not StageState.SUCCEEDED:
        note = f": {after.message}" if after.message else ""
        yield Event(type="Normal", reason=f"{title}Succeeded", message=f"{after.name} succeeded{note}")


def _waiting_events(before: PaftJobStatus, after: PaftJobStatus) -> Iterator[Event]:
    was, is_ = (status.condition(ConditionType.VALIDATED) for status in (before, after))
    if is_ is not None and is_.reason == OUTPUT_IN_USE and (was is None or was.reason != OUTPUT_IN_USE):
        yield Event(type="Warning", reason=OUTPUT_IN_USE, message=is_.message)


def _suspension_events(before: PaftJobStatus, after: PaftJobStatus) -> Iterator[Event]:
    was, is_ = (_is_true(status, ConditionType.SUSPENDED) for status in (before, after))
    if is_ and not was:
        yield Event(type="Normal", reason=SUSPENDED, message="suspended by runPolicy.suspend")
    if was and not is_:
        yield Event(type="Normal", reason=RESUMED, message="resumed")


def _terminal_events(before: PaftJobStatus, after: PaftJobStatus) -> Iterator[Event]:
    new_generation = before.observed_generation != after.observed_generation
    for type_, kind, reason in (
        (ConditionType.SUCCEEDED, "Normal", JOB_SUCCEEDED),
        (ConditionType.FAILED, "Warning", JOB_FAILED),
    ):
        condition = after.condition(type_)
        if condition is not None and condition.status == "True" and (new_generation or not _is_true(before, type_)):
            yield Event(
                type="Normal" if kind == "Normal" else "Warning",
                reason=reason,
                message=condition.message if kind == "Normal" else f"{condition.reason}: {condition.message}",
            )


def _is_true(status: PaftJobStatus, type_: ConditionType) -> bool:
    condition = status.condition(type_)
    return condition is not None and condition.status == "True"
