"""The life cycle as a table: what was observed, and what follows from it."""

from dataclasses import dataclass, field
from typing import Any

import pytest
from tests.paft_operator.planner.situations import (
    ADAPTERS,
    BASE_DIGEST,
    MERGED,
    OUTPUT_URI,
    STAGE_DIGESTS,
    after,
    conditions,
    digest_for,
    failed,
    in_short,
    job,
    merge_digest,
    planned,
    planned_in_turn,
    report,
    running,
    stopped,
    succeeded,
)

from paft_api.causes import Cause
from paft_api.conditions import (
    ADAPTERS_CHANGED,
    ALREADY_FINISHED,
    EARLIER_SPEC,
    EXITED_WITHOUT_RESULT,
    FOUND_FINISHED_MESSAGE,
    OTHER_STAGE_FAILED,
    SUSPENDED_MESSAGE,
)
from paft_api.report import Activity, Progress
from paft_api.run_spec import AdapterReference
from paft_api.stages import ARMS, StageName
from paft_api.status import ConditionType, OutputStatus, Phase, StageState
from paft_operator.planner.actions import StartAttempt, StopAttempt
from paft_operator.planner.observation import AttemptObservation, Observed
from paft_operator.planner.plan import plan

PREPARE, SFT, PREFERENCE, MERGE = StageName
PREPARED = succeeded(PREPARE)
BOTH_TRAINED = (PREPARED, succeeded(SFT, at=2), succeeded(PREFERENCE, at=3))


@dataclass(frozen=True, kw_only=True)
class Situation:
    """The observations of successive plans a second apart, and what the last plan says."""

    name: str
    observed: tuple[tuple[AttemptObservation, ...], ...]
    policy: dict[str, Any] = field(default_factory=dict)
    actions: list[str]
    states: str
    phase: Phase
    requeue_after: float | None = None


SITUATIONS = [
    Situation(
        name="nothing has happened",
        observed=((),),
        actions=["start prepare 1"],
        states="Running Pending Pending Pending",
        phase=Phase.VALIDATING,
    ),
    Situation(
        name="prepare was decided on, but is not there: it keeps its number",
        observed=((), ()),
        actions=["start prepare 1"],
        states="Running Pending Pending Pending",
        phase=Phase.VALIDATING,
    ),
    Situation(
        name="prepare runs",
        observed=((running(PREPARE),),),
        actions=[],
        states="Running Pending Pending Pending",
        phase=Phase.VALIDATING,
    ),
    Situation(
        name="prepare is done: both arms start together",
        observed=((PREPARED,),),
        actions=["start sft 1", "start preference 1"],
        states="Succeeded Running Running Pending",
        phase=Phase.TRAINING,
    ),
    Situation(
        name="prepare found one arm finished",
        observed=((succeeded(PREPARE, finished=(SFT,)),),),
        actions=["start preference 1"],
        states="Succeeded Succeeded Running Pending",
        phase=Phase.TRAINING,
    ),
    Situation(
        name="prepare found both arms finished",
        observed=((succeeded(PREPARE, finished=ARMS),),),
        actions=["start merge 1"],
        states="Succeeded Succeeded Succeeded Running",
        phase=Phase.MERGING,
    ),
    Situation(
        name="prepare was stopped: it goes on",
        observed=((running(PREPARE),), (stopped(PREPARE, at=1),)),
        actions=["start prepare 2"],
        states="Running Pending Pending Pending",
        phase=Phase.VALIDATING,
    ),
    Situation(
        name="the data are wrong: nothing is tried again",
        observed=((failed(PREPARE, cause=Cause.DATA_INVALID),),),
        actions=[],
        states="Failed Pending Pending Pending",
        phase=Phase.FAILED,
    ),
    Situation(
        name="one arm failed: it waits, the other goes on",
        observed=((PREPARED, failed(SFT, at=0), running(PREFERENCE)),),
        actions=[],
        states="Succeeded Waiting Running Pending",
        phase=Phase.TRAINING,
        requeue_after=10.0,
    ),
    Situation(
        name="its pause is over",
        observed=((PREPARED, failed(SFT, at=-10), running(PREFERENCE)),),
        actions=["start sft 2"],
        states="Succeeded Running Running Pending",
        phase=Phase.TRAINING,
    ),
    Situation(
        name="the second failure waits twice as long",
        observed=((PREPARED, failed(SFT, 1, at=-30), failed(SFT, 2, at=0), running(PREFERENCE)),),
        actions=[],
        states="Succeeded Waiting Running Pending",
        phase=Phase.TRAINING,
        requeue_after=20.0,
    ),
    Situation(
        name="a disruption that brought a newer checkpoint is not counted and does not wait",
        observed=((PREPARED, failed(SFT, cause=Cause.PREEMPTED, checkpoint=4), running(PREFERENCE)),),
        policy={"backoffLimit": 0},
        actions=["start sft 2"],
        states="Succeeded Running Running Pending",
        phase=Phase.TRAINING,
    ),
    Situation(
        name="a disruption that brought nothing is counted",
        observed=(
            (
                PREPARED,
                failed(SFT, 1, cause=Cause.PREEMPTED, checkpoint=4, at=-9),
                failed(SFT, 2, cause=Cause.NODE_LOST, checkpoint=4),
                running(PREFERENCE),
            ),
        ),
        policy={"backoffLimit": 0},
        actions=["stop preference 1"],
        states="Succeeded Failed Running Pending",
        phase=Phase.FAILED,
    ),
    Situation(
        name="backoffLimit is used up: the other arm saves and stops",
        observed=((PREPARED, failed(SFT), running(PREFERENCE)),),
        policy={"backoffLimit": 0},
        actions=["stop preference 1"],
        states="Succeeded Failed Running Pending",
        phase=Phase.FAILED,
    ),
    Situation(
        name="an arm fails for good in the pass in which the other would have started again",
        observed=((PREPARED, failed(SFT, cause=Cause.DIVERGED), failed(PREFERENCE, at=-100)),),
        actions=[],
        states="Succeeded Failed Stopped Pending",
        phase=Phase.FAILED,
    ),
    Situation(
        name="both arms are trained: merge",
        observed=(BOTH_TRAINED,),
        actions=["start merge 1"],
        states="Succeeded Succeeded Succeeded Running",
        phase=Phase.MERGING,
    ),
    Situation(
        name="merge failed and is tried again",
        observed=((*BOTH_TRAINED, failed(MERGE, cause=Cause.STORAGE_UNAVAILABLE, at=-10)),),
        actions=["start merge 2"],
        states="Succeeded Succeeded Succeeded Running",
        phase=Phase.MERGING,
    ),
    Situation(
        name="merged",
        observed=((*BOTH_TRAINED, succeeded(MERGE, at=4)),),
        actions=[],
        states="Succeeded Succeeded Succeeded Succeeded",
        phase=Phase.SUCCEEDED,
    ),
    Situation(
        name="everything is forgotten after success",
        observed=((*BOTH_TRAINED, succeeded(MERGE, at=4)), ()),
        actions=[],
        states="Succeeded Succeeded Succeeded Succeeded",
        phase=Phase.SUCCEEDED,
    ),
    Situation(
        name="what is finished is not derived again from attempts that are gone",
        observed=(BOTH_TRAINED, (running(MERGE),)),
        actions=[],
        states="Succeeded Succeeded Succeeded Running",
        phase=Phase.MERGING,
    ),
    Situation(
        name="suspended before anything began",
        observed=((),),
        policy={"suspend": True},
        actions=[],
        states="Pending Pending Pending Pending",
        phase=Phase.SUSPENDED,
    ),
    Situation(
        name="suspended while both arms run",
        observed=((PREPARED, running(SFT), running(PREFERENCE)),),
        policy={"suspend": True},
        actions=["stop sft 1", "stop preference 1"],
        states="Succeeded Running Running Pending",
        phase=Phase.SUSPENDED,
    ),
    Situation(
        name="suspended and stopped",
        observed=((PREPARED, stopped(SFT), stopped(PREFERENCE)),),
        policy={"suspend": True},
        actions=[],
        states="Succeeded Stopped Stopped Pending",
        phase=Phase.SUSPENDED,
    ),
    Situation(
        name="stopped arms go on, uncounted and at once",
        observed=((PREPARED, stopped(SFT), stopped(PREFERENCE)),),
        policy={"backoffLimit": 0},
        actions=["start sft 2", "start preference 2"],
        states="Succeeded Running Running Pending",
        phase=Phase.TRAINING,
    ),
    Situation(
        name="an attempt that is being stopped is not asked again",
        observed=((PREPARED, running(SFT, stopping=True), running(PREFERENCE, stopping=True)),),
        policy={"suspend": True},
        actions=[],
        states="Succeeded Running Running Pending",
        phase=Phase.SUSPENDED,
    ),
    Situation(
        name="past the deadline",
        observed=((PREPARED, running(SFT, at=-100), running(PREFERENCE, at=-50)),),
        policy={"activeDeadlineSeconds": 100},
        actions=["stop sft 1", "stop preference 1"],
        states="Succeeded Running Running Pending",
        phase=Phase.FAILED,
    ),
    Situation(
        name="before the deadline",
        observed=((PREPARED, running(SFT, at=-40), running(PREFERENCE, at=-50)),),
        policy={"activeDeadlineSeconds": 100},
        actions=[],
        states="Succeeded Running Running Pending",
        phase=Phase.TRAINING,
        requeue_after=50.0,
    ),
]


@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda situation: situation.name)
def test_what_follows_from_a_situation(situation: Situation) -> None:
    result = planned_in_turn(job(**situation.policy), *situation.observed)

    assert in_short(result) == situation.actions
    assert " ".join(stage.state for stage in result.status.stages) == situation.states
    assert result.status.phase is situation.phase
    assert result.requeue_after == situation.requeue_after


def test_arms_are_started_for_the_digests_that_prepare_worked_out() -> None:
    assert planned(job(), PREPARED).actions == tuple(
        StartAttempt(stage=arm, attempt=1, base_digest=BASE_DIGEST, stage_digest=STAGE_DIGESTS[arm]) for arm in ARMS
    )


def test_the_merge_is_started_for_exactly_the_adapters_that_are_there() -> None:
    sft, preference = (AdapterReference(uri=ADAPTERS[arm].uri, digest=ADAPTERS[arm].digest) for arm in ARMS)

    assert planned(job(), *BOTH_TRAINED).actions == (
        StartAttempt(
            stage=MERGE,
            attempt=1,
            base_digest=BASE_DIGEST,
            stage_digest=merge_digest(),
            sft_adapter=sft,
            preference_adapter=preference,
        ),
    )


def test_success_is_told_with_the_output_and_every_condition() -> None:
    result = planned_in_turn(job(), (*BOTH_TRAINED, succeeded(MERGE, at=4)), at=5)

    assert result.status.output == OutputStatus(uri=OUTPUT_URI, digest=MERGED.digest, method="ties", bytes=1000)
    assert conditions(result) == {
        "Validated": "True Completed",
        "SftSucceeded": "True Completed",
        "PreferenceSucceeded": "True Completed",
        "Merged": "True Completed",
        "Succeeded": "True JobSucceeded",
        "Reconciling": "False Completed",
        "Stalled": "False Progressing",
    }


def test_failure_is_told_with_cause_message_and_remedy() -> None:
    result = planned(job(), PREPARED, failed(SFT, cause=Cause.DIVERGED), running(PREFERENCE))

    condition = result.status.condition(ConditionType.FAILED)
    assert condition is not None
    assert (condition.status, condition.reason) == ("True", "Diverged")
    assert condition.message == "sft: It broke. Lower training.learningRate; the last good checkpoint was kept."
    assert conditions(result)["Stalled"] == "True Diverged"
    assert conditions(result)["SftSucceeded"] == "False Diverged"
    assert result.actions == (StopAttempt(stage=PREFERENCE, attempt=1, reason=OTHER_STAGE_FAILED),)


def test_a_failed_job_stays_failed_with_the_same_words() -> None:
    once = planned(job(), PREPARED, failed(SFT, cause=Cause.DIVERGED), stopped(PREFERENCE))
    again = planned(job(status=once.status), at=60)

    assert again.status == once.status
    assert again.actions == ()
    assert again.events == ()


def test_exit_0_without_a_result_is_a_failure() -> None:
    without_result = succeeded(SFT)
    without_result = AttemptObservation(
        stage=SFT,
        attempt=1,
        generation=1,
        stage_digest=digest_for(SFT),
        state=without_result.state,
        started_at=without_result.started_at,
        finished_at=without_result.finished_at,
        report=report(SFT),
    )
    entry = planned(job(), PREPARED, without_result, running(PREFERENCE)).status.stage(SFT)

    assert (entry.state, entry.cause, entry.failures) == (StageState.WAITING, Cause.UNKNOWN, 1)
    assert EXITED_WITHOUT_RESULT in entry.message


@pytest.mark.parametrize(
    "stranger",
    [
        {"job_uid": "another-uid"},
        {"number": 2},
        {"generation": 2},
    ],
    ids=["another job's", "another attempt's", "another generation's"],
)
def test_a_report_of_somebody_else_is_no_result(stranger: dict[str, Any]) -> None:
    true = succeeded(SFT)
    assert true.report is not None
    forged = report(SFT, **{"state": true.report.state, "adapter": true.report.adapter} | stranger)
    observed = AttemptObservation(
        stage=SFT,
        attempt=1,
        generation=1,
        stage_digest=digest_for(SFT),
        state=true.state,
        started_at=true.started_at,
        finished_at=true.finished_at,
        report=forged,
    )

    assert planned(job(), PREPARED, observed, running(PREFERENCE)).status.stage(SFT).state is StageState.WAITING


def test_progress_of_a_running_arm_is_told() -> None:
    progress = Progress(activity=Activity.TRAINING, step=3, total_steps=8, loss=1.23456, eta_seconds=3700.0)
    result = planned(job(), PREPARED, running(SFT, report=report(SFT, progress=progress)), running(PREFERENCE))
    entry = result.status.stage(SFT)

    assert (entry.step, entry.total_steps, entry.progress, entry.loss) == (3, 8, "3/8", "1.235")
    assert (entry.eta, entry.message, result.status.eta) == ("1h1m", "Training", "1h1m")


def test_what_a_running_stage_waits_for_is_told_as_long_as_it_waits() -> None:
    """It goes on by itself, so that nothing is stopped or started because of it."""
    words = "waiting for the object store: s3://paft/x at https://s3.example.com: SlowDown"
    waiting = Progress(activity=Activity.WAITING_FOR_STORAGE, waiting_for=words, step=3, total_steps=8)
    at_work = Progress(activity=Activity.TRAINING, step=3, total_steps=8)
    for progress, message in ((waiting, words), (at_work, "Training")):
        result = planned(job(), PREPARED, running(SFT, report=report(SFT, progress=progress)), running(PREFERENCE))
        entry = result.status.stage(SFT)

        assert (entry.state, entry.message, entry.failures) == (StageState.RUNNING, message, 0)
        assert result.actions == ()


def test_work_found_finished_is_told_as_such() -> None:
    entry = planned(job(), succeeded(PREPARE, finished=(SFT,))).status.stage(SFT)

    assert (entry.attempt, entry.progress, entry.artifact_uri) == (0, "8/8", ADAPTERS[SFT].uri)
    assert entry.message == FOUND_FINISHED_MESSAGE


class TestANewGenerationOfTheSpec:
    """Attempts go on counting; what is known is judged again."""

    def test_prepare_runs_again_and_running_arms_go_on_meanwhile(self) -> None:
        first = planned(job(), PREPARED, running(SFT), running(PREFERENCE))
        result = planned(job(generation=2, status=first.status), PREPARED, running(SFT), running(PREFERENCE), at=1)

        assert in_short(result) == ["start prepare 2"]
        assert [stage.state for stage in result.status.stages] == ["Running", "Running", "Running", "Pending"]

    def test_an_arm_that_a_suspension_stopped_is_said_to_have_stopped(self) -> None:
        first = planned(job(), PREPARED, running(SFT), running(PREFERENCE))
        suspended = job(generation=2, status=first.status, suspend=True)
        result = planned(suspended, PREPARED, stopped(SFT, at=1), failed(PREFERENCE, at=1), at=2)

        assert [stage.state for stage in result.status.stages] == ["Pending", "Stopped", "Pending", "Pending"]
        assert [event.reason for event in result.events] == ["SftStopped", "SuspendedBySpec"]

    def test_arms_whose_digest_stays_go_on(self) -> None:
        first = planned(job(), PREPARED, running(SFT), running(PREFERENCE))
        prepared_again = succeeded(PREPARE, 2, generation=2, at=2)
        result = planned(
            job(generation=2, status=first.status), prepared_again, running(SFT), running(PREFERENCE), at=3
        )

        assert in_short(result) == []
        assert [stage.state for stage in result.status.stages] == ["Succeeded", "Running", "Running", "Pending"]

    def test_an_arm_whose_digest_changed_is_stopped_and_then_started_anew(self) -> None:
        first = planned(job(), PREPARED, running(SFT), running(PREFERENCE))
        earlier = running(SFT, stage_digest="sha256:" + "e" * 64)
        prepared_again = succeeded(PREPARE, 2, generation=2, at=2)
        job_2 = job(generation=2, status=first.status)
        result = planned(job_2, prepared_again, earlier, running(PREFERENCE), at=3)

        assert result.actions == (StopAttempt(stage=SFT, attempt=1, reason=EARLIER_SPEC),)

        ended = stopped(SFT, stage_digest="sha256:" + "e" * 64, at=4)
        job_2 = job(generation=2, status=result.status)
        assert in_short(planned(job_2, prepared_again, ended, running(PREFERENCE), at=5)) == ["start sft 2"]

    def test_failures_of_earlier_generations_are_forgiven(self) -> None:
        once = planned(job(backoffLimit=0), PREPARED, failed(SFT), stopped(PREFERENCE))
        prepared_again = succeeded(PREPARE, 2, generation=2, at=2)
        job_2 = job(generation=2, status=once.status, backoffLimit=0)
        result = planned(job_2, prepared_again, failed(SFT), stopped(PREFERENCE), at=3)

        assert in_short(result) == ["start sft 2", "start preference 2"]
        assert ConditionType.FAILED not in {condition.type for condition in result.status.conditions}

    def test_a_merge_of_other_adapters_is_stopped(self) -> None:
        first = planned_in_turn(job(), (*BOTH_TRAINED, running(MERGE)))
        prepared_again = succeeded(PREPARE, 2, generation=2, at=2)
        result = planned(job(generation=2, status=first.status), prepared_again, running(MERGE), at=3)

        assert StopAttempt(stage=MERGE, attempt=1, reason=ADAPTERS_CHANGED) in result.actions

    def test_an_arm_that_prepare_found_finished_need_not_run(self) -> None:
        first = planned(job(), PREPARED, running(SFT), running(PREFERENCE))
        prepared_again = succeeded(PREPARE, 2, generation=2, finished=(SFT,), at=2)
        result = planned(
            job(generation=2, status=first.status), prepared_again, running(SFT), running(PREFERENCE), at=3
        )

        assert result.actions == (StopAttempt(stage=SFT, attempt=1, reason=ALREADY_FINISHED),)

    def test_a_result_from_before_prepare_is_only_worth_what_prepare_found(self) -> None:
        """Somebody removed the artifact: the old report still names it, but prepare did not see it."""
        first = planned_in_turn(job(), (*BOTH_TRAINED, succeeded(MERGE, at=4)), at=5)
        started = planned(job(generation=2, status=first.status), *BOTH_TRAINED, at=6)
        prepared_again = succeeded(PREPARE, 2, generation=2, at=8)
        result = planned(job(generation=2, status=started.status), *BOTH_TRAINED, prepared_again, at=9)

        assert in_short(result) == ["start sft 2", "start preference 2"]

    def test_a_merge_from_before_prepare_is_looked_at_again(self) -> None:
        """Only the merge itself sees whether its output is still there."""
        first = planned_in_turn(job(), (*BOTH_TRAINED, succeeded(MERGE, at=4)), at=5)
        started = planned(job(generation=2, status=first.status), *BOTH_TRAINED, succeeded(MERGE, at=4), at=6)
        prepared_again = succeeded(PREPARE, 2, generation=2, finished=ARMS, at=8)
        result = planned(job(generation=2, status=started.status), succeeded(MERGE, at=4), prepared_again, at=9)

        assert in_short(result) == ["start merge 2"]

    def test_a_running_arm_begins_to_count_failures_anew(self) -> None:
        waiting = planned(job(), PREPARED, failed(SFT), running(PREFERENCE))
        again = planned(job(status=waiting.status), PREPARED, failed(SFT), running(SFT, 2, at=11), at=12)
        assert again.status.stage(SFT).failures == 1

        result = planned(job(generation=2, status=again.status), PREPARED, failed(SFT), running(SFT, 2, at=11), at=13)
        assert (result.status.stage(SFT).state, result.status.stage(SFT).failures) == (StageState.RUNNING, 0)

    def test_only_failures_of_this_generation_count(self) -> None:
        once = planned(job(), PREPARED, failed(SFT, 1, at=-60), failed(SFT, 2, at=-30), running(PREFERENCE))
        prepared_again = succeeded(PREPARE, 2, generation=2, at=2)
        attempts = (failed(SFT, 1, at=-60), failed(SFT, 2, at=-30), failed(SFT, 3, generation=2, at=10))
        result = planned(job(generation=2, status=once.status), prepared_again, *attempts, running(PREFERENCE), at=10)

        assert result.status.stage(SFT).failures == 1
        assert result.requeue_after == 10.0

    def test_an_attempt_is_asked_to_stop_once_with_the_first_reason(self) -> None:
        first = planned(job(), PREPARED, running(SFT), running(PREFERENCE))
        earlier = running(SFT, stage_digest="sha256:" + "e" * 64)
        prepared_again = succeeded(PREPARE, 2, generation=2, at=2)
        suspended = job(generation=2, status=first.status, suspend=True)
        result = planned(suspended, prepared_again, earlier, stopped(PREFERENCE), at=3)

        assert result.actions == (StopAttempt(stage=SFT, attempt=1, reason=SUSPENDED_MESSAGE),)

    def test_a_result_that_came_while_prepare_was_looking_counts(self) -> None:
        first = planned(job(), PREPARED, running(SFT), running(PREFERENCE))
        started = planned(job(generation=2, status=first.status), PREPARED, running(SFT), running(PREFERENCE), at=6)
        prepared_again = succeeded(PREPARE, 2, generation=2, at=8)
        both = (succeeded(SFT, at=7), succeeded(PREFERENCE, at=7))
        result = planned(job(generation=2, status=started.status), prepared_again, *both, at=9)

        assert in_short(result) == ["start merge 1"]


def test_an_attempt_decided_on_twice_keeps_its_number_and_its_start() -> None:
    first = planned(job(), at=1)
    second = planned(job(status=first.status), at=9)

    assert (second.actions, second.status) == (first.actions, first.status)


def test_numbers_go_on_when_attempts_are_forgotten() -> None:
    first = planned(job(), PREPARED, stopped(SFT, 1), stopped(SFT, 2), running(PREFERENCE))
    assert in_short(first) == ["start sft 3"]
    waiting = planned(job(suspend=True), PREPARED, stopped(SFT, 1), stopped(SFT, 2), stopped(PREFERENCE))

    assert in_short(planned(job(status=waiting.status), at=5)) == ["start sft 3", "start preference 2"]


def test_failures_stay_counted_when_attempts_are_forgotten() -> None:
    attempts = (failed(SFT, 1, at=-60), failed(SFT, 2, at=-30), failed(SFT, 3, at=-1))
    waiting = planned(job(), PREPARED, *attempts, running(PREFERENCE))
    assert waiting.status.stage(SFT).failures == 3
    later = planned(job(status=waiting.status), PREPARED, failed(SFT, 4, at=90), running(PREFERENCE), at=91)

    assert later.status.stage(SFT).state is StageState.FAILED
    assert later.status.stage(SFT).failures == 4


def test_suspension_says_so_and_resuming_says_so() -> None:
    suspended = planned(job(suspend=True), PREPARED, running(SFT), running(PREFERENCE))
    resumed = planned(job(generation=2, status=suspended.status), PREPARED, stopped(SFT), stopped(PREFERENCE), at=9)

    assert suspended.actions[0] == StopAttempt(stage=SFT, attempt=1, reason=SUSPENDED_MESSAGE)
    assert conditions(suspended)["Suspended"] == "True SuspendedBySpec"
    assert conditions(resumed)["Suspended"] == "False Resumed"


def test_conditions_keep_the_time_of_their_last_transition() -> None:
    first = planned(job(), PREPARED, running(SFT), running(PREFERENCE), at=1)
    second = planned(job(status=first.status), PREPARED, running(SFT), running(PREFERENCE), at=50)

    assert second.status == first.status


def test_planning_twice_changes_nothing() -> None:
    """The same observation, again: the status is a fixed point, and nothing is told twice."""
    for situation in SITUATIONS:
        a_job = job(**situation.policy)
        observed = Observed(attempts=situation.observed[-1])
        first = plan(a_job, observed, after(0))
        second = plan(a_job.model_copy(update={"status": first.status}), observed, after(0))
        assert second.status == first.status, situation.name
        assert second.events == (), situation.name
