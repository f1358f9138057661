"""A whole status as lines of text."""

from collections.abc import Iterator

from paft_api.conditions import OUTPUT_IN_USE, PROGRESSING
from paft_api.durations import format_duration
from paft_api.status import Condition, ConditionType, PaftJobStatus, StageState
from paft_cli.tables import format_bytes


def headline(name: str, status: PaftJobStatus) -> str:
    """`name: phase`, and how long it takes."""
    eta = f", ETA {status.eta}" if status.eta else ""
    return f"{name}: {status.phase}{eta}"


def time_lines(status: PaftJobStatus) -> Iterator[str]:
    """Where the seconds of each stage went; parts without any are left out."""
    for stage in status.stages:
        if stage.time is not None and stage.time.total:
            spent = {part.replace("_", " "): seconds for part, seconds in stage.time.parts.items() if seconds}
            yield f"{stage.name} time: {', '.join(f'{part} {format_duration(spent[part])}' for part in spent)}"


def output_lines(status: PaftJobStatus) -> Iterator[str]:
    """Where the published checkpoint is; nothing before it is."""
    output = status.output
    if output is not None:
        yield f"output: {output.uri} ({output.method}, {format_bytes(output.bytes)})"


def condition_lines(status: PaftJobStatus) -> list[str]:
    """Conditions that say more than the rows of the stages do."""
    return [f"{one.type}: {one.message or one.reason}" for one in telling_conditions(status)]


def telling_conditions(status: PaftJobStatus) -> list[Condition]:
    """Conditions that say more than the rows of the stages do."""
    has_failed = any(one.type is ConditionType.FAILED and one.status == "True" for one in status.conditions)
    has_failed_stage = any(stage.state is StageState.FAILED for stage in status.stages)
    return [one for one in status.conditions if _is_telling(one, has_failed=has_failed, is_known=has_failed_stage)]


def _is_telling(condition: Condition, *, has_failed: bool, is_known: bool) -> bool:
    """`has_failed`: the job. `is_known`: why, from the row of a stage."""
    is_true = condition.status == "True"
    match condition.type:
        case ConditionType.SUSPENDED | ConditionType.QUEUED:
            return is_true
        case ConditionType.FAILED:
            return is_true and not is_known
        case ConditionType.STALLED:
            return is_true and not has_failed
        case ConditionType.RECONCILING:
            return is_true and condition.reason != PROGRESSING
        case ConditionType.VALIDATED:
            return condition.reason == OUTPUT_IN_USE
    return False
