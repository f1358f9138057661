"""Which conclusions from the watches must be checked with the API server itself before anything is made of them.

Watches of different kinds are not in step, and what they tell may be late: a Job may seem to be gone that is not, or to
have ended before the report and the pods that tell how. So each such conclusion is checked once.
"""

from collections.abc import Iterator
from typing import NamedTuple

from paft_api.status import PaftJobStatus, StageState
from paft_operator.observing.children import AttemptChildren, Children
from paft_operator.observing.failures import has_all_evidence
from paft_operator.observing.records import AttemptKey, JobState
from paft_operator.observing.reports import read_report


class Conclusion(NamedTuple):
    """That an attempt has ended, or that it `runs` although status has told its end.

    `job_uid`: of its Job; empty where that seems to be gone.
    """

    attempt: AttemptKey
    job_uid: str
    runs: bool = False


def conclusions(status: PaftJobStatus, children: Children, *, job_uid: str, generation: int) -> Iterator[Conclusion]:
    """Those that the newest attempts of unfinished stages would lead to, as far as they need a check."""
    expected = {AttemptKey(entry.name, entry.attempt) for entry in status.stages if entry.state is StageState.RUNNING}
    for key in sorted({*children, *expected}):
        entry = status.stage(key.stage)
        is_finished = entry.state is StageState.SUCCEEDED and status.observed_generation == generation
        attempt = children.get(key, AttemptChildren())
        if is_finished:
            continue
        is_told_ended = key.attempt <= entry.attempt and entry.state is not StageState.RUNNING
        if attempt.job is not None and attempt.job.is_active and is_told_ended:
            yield Conclusion(key, attempt.job.uid, runs=True)
        if key.attempt < entry.attempt:
            continue
        is_begun = key.attempt == entry.attempt or (attempt.run_spec is not None and attempt.run_spec.stopped)
        if attempt.job is None:
            if is_begun:
                yield Conclusion(key, "")
        elif attempt.run_spec is None or not _is_certain(attempt, job_uid=job_uid):
            yield Conclusion(key, attempt.job.uid)


def _is_certain(attempt: AttemptChildren, *, job_uid: str) -> bool:
    """Whether nothing that is still on its way could change what follows from a Job."""
    assert attempt.job is not None
    report = read_report(attempt.report, job_uid=job_uid)
    match attempt.job.state:
        case JobState.ACTIVE:
            return True
        case JobState.COMPLETE:
            return report is not None and report.has_result
        case JobState.FAILED:
            told = report is not None and report.failure is not None
            return told and has_all_evidence(attempt.job, attempt.pods)
