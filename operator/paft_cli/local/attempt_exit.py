"""From how a launcher ended to what that means: pure."""

import signal

from paft_api.causes import CAUSE_FACTS, EXIT_STOPPED, EXIT_SUCCEEDED, Cause, cause_of_exit_code
from paft_api.report import Failure, StageReport
from paft_api.run_spec import TerminationMessage
from paft_cli.local.attempt_records import ExitRecord
from paft_operator.planner.observation import AttemptState


def classify_exit(
    exit_record: ExitRecord,
    *,
    termination: TerminationMessage | None,
    report: StageReport | None,
    stop_requested: bool,
    last_log_line: str,
) -> tuple[AttemptState, Failure | None]:
    """State of an attempt that has ended, and why it failed where it did. Total.

    The launcher's word is taken first, then its exit code. One that ended without a word counts as stopped where it was
    asked to stop, or where it ended together with the `paft run` that had started it.
    """
    code = termination.exit_code if termination is not None else exit_record.code
    if code == EXIT_SUCCEEDED:
        return AttemptState.SUCCEEDED, None
    if code == EXIT_STOPPED:
        return AttemptState.STOPPED, None
    if termination is not None:
        return AttemptState.FAILED, _told_failure(termination, report)
    if stop_requested or not exit_record.watched or exit_record.signal == signal.SIGTERM:
        return AttemptState.STOPPED, None
    return AttemptState.FAILED, _silent_failure(exit_record, last_log_line)


def _told_failure(termination: TerminationMessage, report: StageReport | None) -> Failure:
    if report is not None and report.failure is not None:
        return report.failure
    told = next((cause for cause in Cause if cause == termination.cause), None)
    cause = told if told is not None else cause_of_exit_code(termination.exit_code)
    return Failure(
        cause=cause,
        message=termination.message,
        remedy=termination.remedy or CAUSE_FACTS[cause].remedy,
        rank=termination.rank,
    )


def _silent_failure(exit_record: ExitRecord, last_log_line: str) -> Failure:
    if exit_record.signal is not None:
        cause = Cause.UNKNOWN
        message = f"the launcher ended without a word: killed by {signal.Signals(exit_record.signal).name}"
    else:
        assert exit_record.code is not None
        cause = cause_of_exit_code(exit_record.code)
        said = f"; its last line was: {last_log_line[:500]}" if last_log_line else ""
        message = f"the launcher ended with exit code {exit_record.code} and without a message{said}"
    return Failure(cause=cause, message=message, remedy=CAUSE_FACTS[cause].remedy)
