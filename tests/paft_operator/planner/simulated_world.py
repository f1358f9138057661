"""A world in which attempts live: no processes, but all that can happen to them, step by step."""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from tests.paft_operator.planner import situations
from tests.paft_operator.planner.situations import ADAPTERS, STAGE_DIGESTS, START, STEPS, failure, job

from paft_api.causes import Cause
from paft_api.report import Progress, ReportState
from paft_api.spec import PaftJob
from paft_api.stages import ARMS, StageName
from paft_api.status import ConditionType, PaftJobStatus, StageState
from paft_operator.planner.actions import Action, DeleteChildren, Plan, StartAttempt
from paft_operator.planner.observation import AttemptObservation, AttemptState, Observed
from paft_operator.planner.plan import plan


@dataclass
class World:
    """`published`: when each artifact was, by stage digest. `merges`: recipes that were published, in order.

    `together`: arms start as one JobSet, in which one that fails stops the other.
    """

    now: datetime = START
    generation: int = 1
    suspended: bool = False
    together: bool = False
    backoff_limit: int = 2
    status: PaftJobStatus = field(default_factory=PaftJobStatus)
    attempts: dict[tuple[StageName, int], AttemptObservation] = field(default_factory=dict)
    published: dict[str, datetime] = field(default_factory=dict)
    merges: list[str] = field(default_factory=list)
    retry_token: str | None = None
    started: list[tuple[StageName, int]] = field(default_factory=list)

    @property
    def job(self) -> PaftJob:
        """The job as it stands."""
        return job(
            generation=self.generation,
            status=self.status,
            backoffLimit=self.backoff_limit,
            suspend=self.suspended,
        )

    @property
    def is_over(self) -> bool:
        """Whether this generation has succeeded or failed."""
        conditions = (self.status.condition(type_) for type_ in (ConditionType.SUCCEEDED, ConditionType.FAILED))
        return self.status.observed_generation == self.generation and any(
            condition is not None and condition.status == "True" for condition in conditions
        )

    def tick(self, *, killed_after: int | None = None) -> None:
        """Observe, plan, apply, write the status; `killed_after`: end after so many actions, before the status."""
        observed = Observed(
            attempts=tuple(self.attempts.values()),
            retry_token=self.retry_token,
            arms_start_together=self.together,
        )
        result = plan(self.job, observed, self.now)
        self._require_accounted_time(result.status)
        starts = [action for action in result.actions if isinstance(action, StartAttempt) and action.stage in ARMS]
        if self.together and starts:
            self._require_all_unfinished(result, starts)
        actions = result.actions[:killed_after]
        is_split = self.together and not all(start in actions for start in starts)
        for action in actions:
            if not (is_split and action in starts):
                self._apply(action)
        if killed_after is None:
            self.status = result.status

    def finish(self, stage: StageName) -> None:
        """The running attempt of a stage reaches its end; one that is asked to stop saves instead."""
        attempt = self._running(stage)
        if attempt is None:
            return
        if attempt.stopping:
            self._end(attempt, AttemptState.STOPPED)
            return
        prepared_finished = tuple(arm for arm in ARMS if STAGE_DIGESTS[arm] in self.published)
        if stage in ARMS:
            assert attempt.stage_digest is not None
            self.published.setdefault(attempt.stage_digest, self.now)
        if stage is StageName.MERGE:
            assert attempt.stage_digest is not None
            if attempt.stage_digest not in self.merges:
                self.merges.append(attempt.stage_digest)
        report = situations.report(
            stage,
            attempt.attempt,
            state=ReportState.SUCCEEDED,
            generation=attempt.generation,
            **situations.result_of(stage, finished=prepared_finished),
        )
        self._end(replace(attempt, report=report.model_copy(update={"updated_at": self.now})), AttemptState.SUCCEEDED)

    def fail(self, stage: StageName, cause: Cause, *, brings_checkpoint: bool) -> None:
        """The running attempt of a stage fails."""
        attempt = self._running(stage)
        if attempt is None:
            return
        progress = Progress(checkpoint_step=min(attempt.attempt, STEPS) if brings_checkpoint else None)
        report = situations.report(
            stage, attempt.attempt, state=ReportState.FAILED, generation=attempt.generation, progress=progress
        )
        self._end(replace(attempt, report=report, failure=failure(cause)), AttemptState.FAILED)
        for other in ARMS if self.together and stage in ARMS else ():
            if (running := self._running(other)) is not None:
                self.attempts[other, running.attempt] = replace(running, stopping=True)

    def forget(self) -> None:
        """Attempts whose end the status has spoken of are not known any more."""
        for stage, number in list(self.attempts):
            entry = self.status.stage(stage)
            if number < entry.attempt or (number == entry.attempt and entry.state is not StageState.RUNNING):
                del self.attempts[stage, number]

    def change_spec(self) -> None:
        """A new generation that changes no digest."""
        self.generation += 1

    def ask_for_retry(self) -> None:
        """A new token."""
        self.retry_token = str(int(self.retry_token or "0") + 1)

    def let_time_pass(self, seconds: float) -> None:
        """The clock goes on."""
        self.now += timedelta(seconds=seconds)

    def _running(self, stage: StageName) -> AttemptObservation | None:
        running = [
            attempt
            for attempt in self.attempts.values()
            if attempt.stage is stage and attempt.state is AttemptState.RUNNING
        ]
        assert len(running) <= 1, f"two attempts of {stage} run at once"
        return running[0] if running else None

    def _end(self, attempt: AttemptObservation, state: AttemptState) -> None:
        ended = replace(attempt, state=state, stopping=False, finished_at=self.now)
        self.attempts[attempt.stage, attempt.attempt] = ended

    def _apply(self, action: Action) -> None:
        assert not isinstance(action, DeleteChildren)
        key = (action.stage, action.attempt)
        if isinstance(action, StartAttempt):
            if key not in self.attempts:
                self._start(action)
        elif self.attempts[key].state is AttemptState.RUNNING:
            self.attempts[key] = replace(self.attempts[key], stopping=True)

    def _start(self, action: StartAttempt) -> None:
        key = (action.stage, action.attempt)
        assert self._running(action.stage) is None, f"{action.stage} is started while an attempt of it runs"
        assert key not in self.started, f"{action.stage} {action.attempt} is started a second time"
        assert not self.suspended, f"{action.stage} is started although the job is suspended"
        self._require_unfinished(action)
        self.started.append(key)
        self.attempts[key] = AttemptObservation(
            stage=action.stage,
            attempt=action.attempt,
            generation=self.generation,
            stage_digest=action.stage_digest,
            state=AttemptState.RUNNING,
            started_at=self.now,
            admitted_at=self.now,
            running_since=self.now,
        )

    def _require_accounted_time(self, status: PaftJobStatus) -> None:
        for stage in status.stages:
            if stage.time is None:
                assert stage.state is not StageState.RUNNING
                continue
            assert stage.time.total == round((stage.time.until - stage.time.since).total_seconds())
            assert stage.time.until <= self.now
            if stage.state is StageState.SUCCEEDED:
                assert stage.time.until == stage.finished_at

    def _require_all_unfinished(self, result: Plan, starts: list[StartAttempt]) -> None:
        unfinished = [arm for arm in ARMS if result.status.stage(arm).state is not StageState.SUCCEEDED]
        assert [start.stage for start in starts] == unfinished, "an arm starts without the other"

    def _require_unfinished(self, action: StartAttempt) -> None:
        if action.stage in ARMS:
            assert action.stage_digest == STAGE_DIGESTS[action.stage]
            looked_at = self.status.stage(StageName.PREPARE).started_at
            known_since = self.published.get(STAGE_DIGESTS[action.stage])
            is_repeated = known_since is not None and looked_at is not None and known_since < looked_at
            assert not is_repeated, f"{action.stage} is trained again although prepare found it finished"
        if action.stage is StageName.MERGE:
            assert action.sft_adapter is not None
            assert action.preference_adapter is not None
            uris = (action.sft_adapter.uri, action.preference_adapter.uri)
            assert uris == tuple(ADAPTERS[arm].uri for arm in ARMS)
            assert all(STAGE_DIGESTS[arm] in self.published for arm in ARMS), "merge is started before its adapters"
