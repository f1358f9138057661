"""The state of one planning: what is known, and what has been decided so far. Lives for one call of `plan`."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from paft_api.conditions import REVIVED
from paft_api.report import Failure
from paft_api.spec import PaftJob
from paft_api.stages import StageName
from paft_api.status import BaseStatus, ConditionType, OutputStatus, PaftJobStatus, StageStatus
from paft_operator.planner.actions import Action, StopAttempt
from paft_operator.planner.observation import AttemptObservation, AttemptState, Observed


@dataclass(kw_only=True, slots=True)
class Planning:
    """`stages` starts as the previous status has it, and is brought up to date by the policies.

    `observed`: with each attempt's own reports only. `may_start`: nothing is started while it is false.
    `first_retry_seconds`: pause before the second attempt. `active_seconds`: in which ended attempts of this generation
    ran. `waiting`: reason and message of why nothing may start. `is_retried`: a retry was asked for after the job had
    failed, and this pass begins it. `judged`: what was said of stages whose newest attempt has failed, also where the
    next one has begun in the same pass.
    """

    job: PaftJob
    previous: PaftJobStatus
    observed: Observed
    now: datetime
    first_retry_seconds: float
    stages: dict[StageName, StageStatus]
    base: BaseStatus | None = None
    output: OutputStatus | None = None
    may_start: bool = True
    deadline_failure: Failure | None = None
    active_seconds: float = 0.0
    retry_token: str | None = None
    is_retried: bool = False
    waiting: tuple[str, str] | None = None
    judged: dict[StageName, StageStatus] = field(default_factory=dict)
    actions: list[Action] = field(default_factory=list)
    wake_ups: list[datetime] = field(default_factory=list)

    @property
    def generation(self) -> int:
        """Generation of the spec."""
        return self.job.metadata.generation

    @property
    def is_new_generation(self) -> bool:
        """Whether the previous status speaks of another spec."""
        return self.previous.observed_generation != self.generation

    def is_terminal(self, type_: ConditionType) -> bool:
        """Whether this generation was said to have succeeded or failed, and no retry begins."""
        condition = self.previous.condition(type_)
        is_said = condition is not None and condition.status == "True"
        return is_said and not self.is_new_generation and not self.is_retried

    def update(self, stage: StageName, **fields: object) -> None:
        """Change fields of a stage's status."""
        self.stages[stage] = self.stages[stage].model_copy(update=fields)

    def attempts(self, stage: StageName) -> list[AttemptObservation]:
        """Attempts of a stage, oldest first."""
        return sorted(
            (attempt for attempt in self.observed.attempts if attempt.stage is stage),
            key=lambda attempt: attempt.attempt,
        )

    def counts(self, attempt: AttemptObservation) -> bool:
        """Whether an attempt was made after the last retry that was asked for."""
        return attempt.attempt > self.stages[attempt.stage].forgiven_attempt

    def newest_number(self, stage: StageName) -> int:
        """The highest number of an observed attempt of a stage; 0 where there is none."""
        return max((attempt.attempt for attempt in self.attempts(stage)), default=0)

    def running(self, stage: StageName) -> AttemptObservation | None:
        """The attempt of a stage that runs, if one does; none whose end was told before."""
        entry = self.stages[stage]
        running = [one for one in self._all_running(stage) if not entry.tells_end_of(one.attempt)]
        return running[-1] if running else None

    def stop_revived(self, stage: StageName) -> bool:
        """Stop attempts that run although their end was told; whether there are any.

        A process that no longer leads may have created the Job of one anew, with a write that was long on its way.
        """
        entry = self.stages[stage]
        revived = [one for one in self._all_running(stage) if entry.tells_end_of(one.attempt)]
        for attempt in revived:
            self.stop(attempt, REVIVED)
        return bool(revived)

    def _all_running(self, stage: StageName) -> list[AttemptObservation]:
        return [attempt for attempt in self.attempts(stage) if attempt.state is AttemptState.RUNNING]

    def stop(self, attempt: AttemptObservation, reason: str) -> None:
        """Ask a running attempt to stop, once; the first reason counts."""
        is_asked = any(
            isinstance(action, StopAttempt) and (action.stage, action.attempt) == (attempt.stage, attempt.attempt)
            for action in self.actions
        )
        if not attempt.stopping and not is_asked:
            self.actions.append(StopAttempt(stage=attempt.stage, attempt=attempt.attempt, reason=reason))

    def wake_up_in(self, seconds: float) -> None:
        """Plan again after so many seconds at the latest."""
        self.wake_ups.append(self.now + timedelta(seconds=seconds))
