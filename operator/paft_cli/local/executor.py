"""observe → plan → apply → status, until the job has ended or is asked to stop."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from paft_api.conditions import JOB_FAILED, JOB_SUCCEEDED, RESUMED, STOPPING, SUSPENDED
from paft_api.spec import PaftJob
from paft_api.status import Condition, ConditionType, PaftJobStatus
from paft_cli.local.local_job import is_terminal
from paft_cli.local.stop_signals import StopSignals
from paft_operator.planner.actions import Action, Event, StartAttempt, StopAttempt
from paft_operator.planner.observation import AttemptState, Observed
from paft_operator.planner.plan import plan
from paft_operator.reconciling.status_changes import Change, change_between

FIRST_RETRY_SECONDS = 1.0
"""Pause before a second attempt here: a machine needs no time to make room for it."""

TICK_SECONDS = 0.2
_TOLD_OTHERWISE = {SUSPENDED, RESUMED, JOB_SUCCEEDED, JOB_FAILED}
"""Events of which whoever called `execute` says more."""

_STOPPING = Event(
    type="Normal", reason=STOPPING, message="stopping: arms save first; press Ctrl-C again to end without waiting"
)
STOPPED_MESSAGE = "paft run was stopped; running it again continues."


class Host(Protocol):
    """Where attempts run."""

    def observe(self) -> Observed:
        """What there is."""

    def start(self, job: PaftJob, action: StartAttempt) -> None:
        """Start an attempt; a no-op for one that exists."""

    def stop(self, action: StopAttempt) -> None:
        """Ask an attempt to save and end."""

    def kill_all(self) -> None:
        """End every attempt at once."""


class Display(Protocol):
    """Who is told."""

    def show(self, status: PaftJobStatus) -> None:
        """What is so; called on every tick."""

    def tell(self, event: Event) -> None:
        """What happened once."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """How `execute` ended. `observed`: the last look. `stopped`: asked to stop, before the job ended."""

    status: PaftJobStatus
    observed: Observed
    stopped: bool


def execute(
    job: PaftJob,
    host: Host,
    display: Display,
    stop_signals: StopSignals,
    *,
    write_status: Callable[[PaftJobStatus], None],
) -> Outcome:
    """Run a job (with uid, generation and last status) to its end. `write_status` is called once per change.

    A stop is a suspension that ends with this process: the planner stops what runs, and nothing starts.
    """
    stopping = False
    while True:
        if stop_signals.requested and not stopping:
            stopping = True
            display.tell(_STOPPING)
        observed = host.observe()
        now = datetime.now(UTC)
        wanted = _suspended(job) if stopping else job
        planned = plan(wanted, observed, now, first_retry_seconds=FIRST_RETRY_SECONDS)
        _apply(job, planned.actions, host)
        if stop_signals.impatient:
            host.kill_all()
        status = _in_our_words(planned.status) if stopping else planned.status
        if change_between(job.status, status) is not Change.NONE:
            write_status(status)
        for event in planned.events:
            if event.reason not in _TOLD_OTHERWISE:
                display.tell(event)
        display.show(status)
        job = job.model_copy(update={"status": status})
        if not planned.actions and not _is_anything_running(observed):
            has_ended = is_terminal(status, job.metadata.generation)
            if has_ended or stopping:
                return Outcome(status=status, observed=observed, stopped=not has_ended)
        time.sleep(TICK_SECONDS)


def _apply(job: PaftJob, actions: tuple[Action, ...], host: Host) -> None:
    for action in actions:
        if isinstance(action, StartAttempt):
            host.start(job, action)
        elif isinstance(action, StopAttempt):
            host.stop(action)


def _is_anything_running(observed: Observed) -> bool:
    return any(attempt.state is AttemptState.RUNNING for attempt in observed.attempts)


def _suspended(job: PaftJob) -> PaftJob:
    policy = job.spec.run_policy.model_copy(update={"suspend": True})
    return job.model_copy(update={"spec": job.spec.model_copy(update={"run_policy": policy})})


def _in_our_words(status: PaftJobStatus) -> PaftJobStatus:
    """The planner explains a suspension with runPolicy.suspend, which nobody has set here."""

    def explained(condition: Condition) -> Condition:
        is_suspension = condition.type is ConditionType.SUSPENDED and condition.status == "True"
        return condition.model_copy(update={"message": STOPPED_MESSAGE}) if is_suspension else condition

    return status.model_copy(update={"conditions": tuple(explained(one) for one in status.conditions)})
