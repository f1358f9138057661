"""What happens to the objects of one PaftJob, change by change, and what its status has to say afterwards. Pure.

A stage that ends takes three changes: its report with the result, the end of its pod, and that of its Job.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from benchmarks.operator_load.training_jobs import first_attempt
from tests.paft_operator.played_stages import report, result

from paft_api.report import StageReport
from paft_api.spec import PaftJob
from paft_api.stages import ARMS, StageName
from paft_api.status import StageState
from paft_operator.cluster.resources import Object

TOTAL_STEPS = 10_000
PROGRESS_PAUSE = 5.5
"""Seconds between two changes of a PaftJob of which the second is progress, which is written every 5 s at most."""
SHORT_PAUSE = 0.5
"""Seconds between the report of a stage, the end of its pod and that of its Job."""
LENGTH_OF_ENDING = 3 * 2 * SHORT_PAUSE + 2 * PROGRESS_PAUSE
"""Seconds that `ending` takes at least."""
CHANGES_OF_ENDING = 8


class ChangeKind(StrEnum):
    """What changes."""

    REPORT = "report"
    POD = "pod"
    JOB = "job"


@dataclass(frozen=True, kw_only=True)
class Expected:
    """What status has to say of a stage: at least this step, or without one that it has succeeded."""

    stage: StageName
    step: int | None = None

    def is_met(self, status: Object) -> bool:
        """Whether status says so."""
        entry: Object = next((one for one in status.get("stages", ()) if one["name"] == self.stage), {})
        if entry.get("state") == "Succeeded":
            return True
        return self.step is not None and entry.get("step", -1) >= self.step


@dataclass(frozen=True, kw_only=True)
class Change:
    """One write. `report`: what is written, for that kind. `expected`: None where status need not change.

    `pause`: seconds until the next change of the same PaftJob, counted from when status said what was expected.
    """

    kind: ChangeKind
    stage: StageName
    report: StageReport | None = None
    expected: Expected | None
    pause: float


def is_unfinished(job: PaftJob) -> bool:
    """Whether both arms run, and neither has reported its last step."""
    arms = [job.status.stage(arm) for arm in ARMS] if job.status is not None else []
    return bool(arms) and all(arm.state is StageState.RUNNING and arm.step != TOTAL_STEPS for arm in arms)


def progressing(job: PaftJob) -> Iterator[Change]:
    """Reports of both arms in turn, without an end."""
    assert job.status is not None
    known = [job.status.stage(arm).step or 0 for arm in ARMS]
    attempts = {arm: first_attempt(job, arm) for arm in ARMS}
    for step in itertools.count(max(known) + 1):
        for arm, attempt in attempts.items():
            told = _with_step(report(attempt, step=step), step)
            yield Change(
                kind=ChangeKind.REPORT,
                stage=arm,
                report=told,
                expected=Expected(stage=arm, step=step),
                pause=PROGRESS_PAUSE,
            )


def ending(job: PaftJob) -> Iterator[Change]:
    """Both arms end, one after the other, then the merge that the operator starts; its pod is left out."""
    for arm in ARMS:
        yield from _ending_stage(job, arm, has_pod=True)
    yield from _ending_stage(job, StageName.MERGE, has_pod=False)


def _ending_stage(job: PaftJob, stage: StageName, *, has_pod: bool) -> Iterator[Change]:
    told = _with_step(result(first_attempt(job, stage)), TOTAL_STEPS)
    yield Change(
        kind=ChangeKind.REPORT,
        stage=stage,
        report=told,
        expected=Expected(stage=stage, step=TOTAL_STEPS),
        pause=SHORT_PAUSE,
    )
    if has_pod:
        yield Change(kind=ChangeKind.POD, stage=stage, expected=None, pause=SHORT_PAUSE)
    yield Change(kind=ChangeKind.JOB, stage=stage, expected=Expected(stage=stage), pause=PROGRESS_PAUSE)


def _with_step(told: StageReport, step: int) -> StageReport:
    progress = told.progress.model_copy(update={"step": step, "total_steps": TOTAL_STEPS})
    return told.model_copy(update={"progress": progress})


def transitions_between(before: Object, after: Object) -> int:
    """How many things have happened: stages that changed their state, and the end of the PaftJob."""
    old, new = ({one["name"]: one["state"] for one in status.get("stages", ())} for status in (before, after))
    ends = sum(_has_ended(after, type_) and not _has_ended(before, type_) for type_ in ("Succeeded", "Failed"))
    changed = [stage for stage, state in new.items() if old.get(stage, "Pending") != state]
    return ends + len(changed)


def _has_ended(status: Object, type_: str) -> bool:
    return any(one["type"] == type_ and one["status"] == "True" for one in status.get("conditions", ()))
