"""Names of a PaftJob's objects: made from its name, a stage and the number of an attempt, and never longer than 63.

    <job>-<stage>                   the Service of an arm (40 + 1 + 10 characters at most)
    <job>-<stage>-<attempt>         Job, RunSpec ConfigMap, ServiceAccount, Role and RoleBinding of an attempt
    <job>-<stage>-<attempt>-report  its report ConfigMap

A pod's host name is the Job's name, `-` and its index: with four digits for the attempt and four for the index that is
61 characters.

    <job>-<stage>-<attempt>         the JobSet of an arm, where JobSets are used
    <job>-arms-<sft>-<preference>   that of both together, by their attempts

JobSet calls pods <JobSet>-<stage>-0-<index>-<5 characters>, which leaves 39 for its own name: where that is too long,
the job's part of it is cut, and ends with a part of its SHA-256.
"""

import hashlib
from collections.abc import Sequence

from paft_api.stages import StageName
from paft_operator.planner.actions import StartAttempt

MAXIMUM_ATTEMPT = 9999
"""The highest number for which all names are short enough."""


def service_name(job_name: str, stage: StageName) -> str:
    """The headless Service of an arm, shared by its attempts."""
    return f"{job_name}-{stage}"


def attempt_name(job_name: str, stage: StageName, attempt: int) -> str:
    """Every object of an attempt but its report."""
    assert 1 <= attempt <= MAXIMUM_ATTEMPT
    return f"{job_name}-{stage}-{attempt}"


def report_name(job_name: str, stage: StageName, attempt: int) -> str:
    """The ConfigMap an attempt reports to."""
    return f"{attempt_name(job_name, stage, attempt)}-report"


_LONGEST_JOB_SET_NAME = 39
_HASH_CHARACTERS = 6


def job_set_name(job_name: str, starts: Sequence[StartAttempt]) -> str:
    """The JobSet of arms that start together, one or both."""
    arms = str(starts[0].stage) if len(starts) == 1 else "arms"
    suffix = "-".join(["", arms, *(str(start.attempt) for start in starts)])
    room = _LONGEST_JOB_SET_NAME - len(suffix)
    if len(job_name) > room:
        kept = job_name[: room - _HASH_CHARACTERS - 1].rstrip("-")
        job_name = f"{kept}-{hashlib.sha256(job_name.encode()).hexdigest()[:_HASH_CHARACTERS]}"
    return job_name + suffix


def replicated_job_name(stage: StageName) -> str:
    """An arm's part of a JobSet."""
    return str(stage)


def job_name_in_set(set_name: str, stage: StageName) -> str:
    """The Job of an arm that JobSet creates: it numbers them."""
    return f"{set_name}-{replicated_job_name(stage)}-0"
