"""Which failures count, and how long to wait after them."""

from collections.abc import Sequence

from paft_api.causes import CAUSE_FACTS, Cause
from paft_api.conditions import EXITED_WITHOUT_RESULT
from paft_api.report import Failure
from paft_operator.planner.observation import AttemptObservation, AttemptState

LONGEST_RETRY_SECONDS = 360.0
DISRUPTIONS = frozenset({Cause.PREEMPTED, Cause.NODE_LOST})


def failure_of(attempt: AttemptObservation) -> Failure | None:
    """Why an attempt failed; None for one that runs, was stopped, or has a result.

    A group of processes that exits 0 without a result has failed: a pod may exit 0 after SIGTERM.
    """
    if attempt.state is AttemptState.FAILED:
        return attempt.failure if attempt.failure is not None else _unexplained("The attempt failed without a word.")
    if attempt.state is AttemptState.SUCCEEDED and not has_result(attempt):
        return _unexplained(EXITED_WITHOUT_RESULT)
    return None


def has_result(attempt: AttemptObservation) -> bool:
    """Whether the attempt's report carries the result of its stage."""
    return attempt.report is not None and attempt.report.has_result


def counted_failures(attempts: Sequence[AttemptObservation], *, generation: int) -> int:
    """Failures of one generation that count against backoffLimit. `attempts`: of one stage and digest, oldest first.

    A disruption does not count as long as its attempt brought a newer checkpoint than those before it.
    """
    count = 0
    furthest = 0
    for attempt in attempts:
        failure = failure_of(attempt)
        reached = _checkpoint_step(attempt)
        is_excused = failure is not None and failure.cause in DISRUPTIONS and reached > furthest
        if failure is not None and attempt.generation == generation and not is_excused:
            count += 1
        furthest = max(furthest, reached)
    return count


def may_retry(failure: Failure, *, failures: int, backoff_limit: int) -> bool:
    """Whether another attempt follows."""
    return CAUSE_FACTS[failure.cause].retryable and failures <= backoff_limit


def retry_pause_seconds(failures: int, *, first: float) -> float:
    """Pause after so many counted failures, at least one: doubling from `first`."""
    return min(first * 2.0 ** (failures - 1), LONGEST_RETRY_SECONDS)


def _checkpoint_step(attempt: AttemptObservation) -> int:
    step = attempt.report.progress.checkpoint_step if attempt.report is not None else None
    return step if step is not None else 0


def _unexplained(message: str) -> Failure:
    return Failure(cause=Cause.UNKNOWN, message=message, remedy=CAUSE_FACTS[Cause.UNKNOWN].remedy)
