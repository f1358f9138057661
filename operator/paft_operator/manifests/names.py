"""Names of a PaftJob's objects: made from its name, a stage and the number of an attempt, and never longer than 63.

    <job>-<stage>                   the Service of an arm (40 + 1 + 10 characters at most)
    <job>-<stage>-<attempt>         Job, RunSpec ConfigMap, ServiceAccount, Role and RoleBinding of an attempt
    <job>-<stage>-<attempt>-report  its report ConfigMap

A pod's host name is the Job's name, `-` and its index: with four digits for the attempt and four for the index that is
61 characters.
"""

from paft_api.stages import StageName

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
