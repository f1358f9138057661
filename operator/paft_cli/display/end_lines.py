"""What is said of a job that has failed, to whoever did not run it."""

from collections.abc import Callable, Iterator

from paft_api.stages import StageName
from paft_api.status import ConditionType, PaftJobStatus, StageState


def failure_lines(
    status: PaftJobStatus, *, log_command: Callable[[StageName, int], str], retry_command: str
) -> Iterator[str]:
    """Every failed stage with its log, or why the job failed without one; and how to try again."""
    failed = [stage for stage in status.stages if stage.state is StageState.FAILED]
    for stage in failed:
        yield f"Failed: {stage.name} attempt {stage.attempt}: {stage.cause}: {stage.message}"
        yield f"  log: {log_command(stage.name, stage.attempt)}"
    if not failed:
        condition = status.condition(ConditionType.FAILED) or status.condition(ConditionType.STALLED)
        assert condition is not None
        yield f"Failed: {condition.reason}: {condition.message}"
    yield f"To try again, once it is mended:\n  {retry_command}"
