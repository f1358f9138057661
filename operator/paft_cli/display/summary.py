"""What is said when a run has ended."""

from collections.abc import Iterator, Sequence

from paft_api.report import Failure
from paft_api.stages import ARMS
from paft_api.status import ConditionType, PaftJobStatus, StageState, StageStatus
from paft_cli.local.directories import JobDirectory
from paft_cli.tables import format_bytes
from paft_operator.planner.observation import AttemptState, Observed


def success_text(status: PaftJobStatus) -> str:
    """Where everything is."""
    assert status.output is not None
    output = status.output
    adapters = "\n".join(f"  {f'{arm} adapter':<18}  {status.stage(arm).artifact_uri}" for arm in ARMS)
    what = f"{output.method}, {format_bytes(output.bytes)}, {output.digest}"
    return f"Succeeded\n  {'output':<18}  {output.uri}\n  {'':<18}  {what}\n{adapters}"


def failure_text(status: PaftJobStatus, observed: Observed, directory: JobDirectory) -> str:
    """Every failed stage with cause, message, remedy and log; or why the job failed without one."""
    lines: list[str] = []
    for stage in status.stages:
        if stage.state is StageState.FAILED:
            lines += _stage_failure(stage, observed, directory)
    if not lines:
        condition = status.condition(ConditionType.FAILED)
        assert condition is not None
        lines = [f"Failed: {condition.reason}: {condition.message}"]
    return "\n".join(lines)


def stop_text(command: str) -> str:
    """How to go on."""
    return f"Stopped. To continue:\n  {command}"


def _stage_failure(stage: StageStatus, observed: Observed, directory: JobDirectory) -> Iterator[str]:
    failure = _newest_failure(stage, observed)
    retries = f" (the last of {stage.failures} that failed)" if stage.failures > 1 else ""
    if failure is None:
        yield f"Failed: {stage.name}: {stage.cause}: {stage.message}"
    elif failure.findings:
        yield f"Failed: {stage.name} found {_count(failure.findings)} to mend:"
        for finding in failure.findings:
            yield f"  {finding.field}: {finding.cause}: {finding.message}"
            yield f"    {finding.remedy}"
    else:
        yield f"Failed: {stage.name} attempt {stage.attempt}{retries}: {failure.cause}: {failure.message}"
        yield f"  {failure.remedy}"
    yield f"  log: {directory.attempt(stage.name, stage.attempt).log_file}"


def _count(findings: Sequence[object]) -> str:
    return "1 thing" if len(findings) == 1 else f"{len(findings)} things"


def _newest_failure(stage: StageStatus, observed: Observed) -> Failure | None:
    return next(
        (
            attempt.failure
            for attempt in observed.attempts
            if attempt.stage is stage.name and attempt.attempt == stage.attempt and attempt.state is AttemptState.FAILED
        ),
        None,
    )
