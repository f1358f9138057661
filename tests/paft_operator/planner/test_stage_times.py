"""Where the seconds of a stage went: each to one part, and all of them to some."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from tests.paft_operator.planner.situations import (
    after,
    digest_for,
    failure,
    job,
    planned,
    planned_in_turn,
    report,
    running,
    stopped,
    succeeded,
)

from paft_api.causes import Cause
from paft_api.report import Activity, Progress, ReportState, StageReport
from paft_api.run_spec import World
from paft_api.stage_time import AttemptTime, StageTime, TimePart
from paft_api.stages import StageName
from paft_api.status import StageState
from paft_operator.planner.actions import StartAttempt
from paft_operator.planner.observation import AttemptObservation, AttemptState
from paft_operator.reconciling.status_changes import Change, change_between

PREPARE, SFT, PREFERENCE, MERGE = StageName
PREPARED = succeeded(PREPARE, at=1)


def parts(time: StageTime | None) -> dict[str, int]:
    """Those that have seconds."""
    assert time is not None
    return {part.value: seconds for part, seconds in time.parts.items() if seconds}


def in_pods(number: int = 1, *, at: float, told: StageReport | None = None, **fields: object) -> AttemptObservation:
    """An attempt at sft that was created `at`, got a place 5 s later, and ran 20 s later than that."""
    ran = after(at + 25)
    seen = running(SFT, number, at=at, scheduled_at=after(at + 5), running_since=ran, report=told)
    return replace(seen, **fields)


def told(number: int = 1, *, at: float, time: AttemptTime, step: int = 3) -> StageReport:
    """A report of sft while it trains."""
    progress = Progress(activity=Activity.TRAINING, step=step)
    return report(SFT, number, at=at, progress=progress).model_copy(update={"time": time})


def test_what_comes_before_the_launcher_is_queue_image_and_load() -> None:
    # It began at 33, and tells of itself from 35 on.
    words = told(at=100, time=AttemptTime(load=30, train=30, evaluate=5), step=3)
    seen = in_pods(at=8, told=words)

    first = planned(job(), PREPARED, at=2)
    entry = planned(job(status=first.status), PREPARED, seen, at=101).status.stage(SFT)

    assert (entry.time.since, entry.time.until) == (after(2), after(100))
    assert parts(entry.time) == {"queue": 11, "image": 20, "load": 32, "train": 30, "evaluate": 5}
    assert entry.goodput == "31%"


def test_failed_attempts_and_the_pauses_after_them_count() -> None:
    lost = told(at=60, time=AttemptTime(load=10, train=20, save=5), step=8)
    first = in_pods(at=2, told=lost)
    failed = replace(first, state=AttemptState.FAILED, finished_at=after(70), failure=failure(Cause.HANG))
    time = AttemptTime(load=10, redo=6, train=20, wait_for_storage=4)
    words = told(2, at=150, time=time, step=20)
    second = in_pods(2, at=80, told=words)
    ended = replace(
        second,
        state=AttemptState.SUCCEEDED,
        finished_at=after(152),
        report=succeeded(SFT, 2).report.model_copy(update={"updated_at": after(150), "time": time}),
    )

    status = planned_in_turn(
        job(), (PREPARED,), (PREPARED, first), (PREPARED, failed), (PREPARED, failed, second), at=2
    ).status
    # Neither the first attempt nor the pods of the second are known any more.
    forgotten = replace(ended, scheduled_at=None)
    entry = planned(job(status=status), PREPARED, forgotten, at=153).status.stage(SFT)

    assert entry.state is StageState.SUCCEEDED
    assert (entry.time.since, entry.time.until) == (after(2), after(152)) == (after(2), entry.finished_at)
    assert entry.time.total == 150
    # The first attempt's 10 s after its last word, and what the second told.
    assert entry.time.redo == 10 + 6
    assert entry.time.train == 20 + 20
    assert entry.time.wait_for_storage == 4
    assert entry.time.queue == 5 + 10 + 25
    assert entry.goodput == f"{40 / 150:.0%}"


def test_a_finished_stage_keeps_its_time() -> None:
    done = planned(job(status=planned(job(), at=0).status), PREPARED, at=2).status
    time = done.stage(PREPARE).time

    later = planned(job(status=done), at=500).status
    assert time is not None
    assert later.stage(PREPARE).time == time
    assert (time.total, time.until) == (1, done.stage(PREPARE).finished_at)


def test_work_that_was_found_finished_took_no_time() -> None:
    prepared = succeeded(PREPARE, at=1, finished=(SFT,))

    status = planned(job(), prepared, at=2).status
    assert status.stage(SFT).state is StageState.SUCCEEDED
    assert status.stage(SFT).time is None
    assert parts(
        planned(job(status=status), prepared, running(PREFERENCE, at=9), at=9).status.stage(PREFERENCE).time
    ) == {"queue": 7}


def test_a_stage_waits_from_when_it_could_begin() -> None:
    suspended = job(suspend=True, status=planned(job(), PREPARED, at=2).status)
    stop = stopped(SFT, at=50)

    waiting = planned(suspended, PREPARED, stop, at=60).status
    again = planned(job(status=waiting), PREPARED, stop, running(SFT, 2, at=100), at=100).status
    # 49 s before the attempt, 1 s in it without a word, and 50 s until the next.
    assert parts(again.stage(SFT).time) == {"queue": 47 + 50, "load": 1}


def test_an_arm_waits_for_the_devices_of_the_other_in_a_queue() -> None:
    world = World(nodes=1, processes_per_node=1, device="cuda", gradient_accumulation_steps=1, visible_devices=(0,))
    worlds = {SFT: world, PREFERENCE: world}
    prepared = planned(job(), PREPARED, at=2, worlds=worlds).status
    trains = planned(job(status=prepared), PREPARED, running(SFT, at=2), at=3, worlds=worlds).status
    trained = succeeded(SFT, at=90)

    turns = planned(job(status=trains), PREPARED, trained, at=91, worlds=worlds).status
    seen = (PREPARED, trained, running(PREFERENCE, at=92))
    waited = planned(job(status=turns), *seen, at=93, worlds=worlds).status.stage(PREFERENCE)

    assert turns.stage(PREFERENCE).started_at == after(91)
    assert parts(waited.time) == {"queue": 90}


def test_what_time_alone_changes_is_not_written() -> None:
    one = told(at=30, time=AttemptTime(load=2, train=3), step=3)
    before = planned(job(status=planned(job(), PREPARED, at=2).status), PREPARED, in_pods(at=2, told=one), at=31).status
    for at, change in ((50, Change.NONE), (500, Change.NONE)):
        same = planned(job(status=before), PREPARED, in_pods(at=2, told=one), at=at).status
        assert same == before
        assert change_between(before, same) is change
    more = one.model_copy(update={"updated_at": after(40), "time": AttemptTime(load=2, train=13)})
    after_more = planned(job(status=before), PREPARED, in_pods(at=2, told=more), at=41).status
    assert after_more.stage(SFT).time != before.stage(SFT).time
    assert change_between(before, after_more) is Change.NONE


def test_the_next_attempt_learns_how_far_the_earlier_ones_were() -> None:
    first = replace(
        in_pods(at=2, told=told(at=60, time=AttemptTime(train=9), step=8)),
        state=AttemptState.FAILED,
        finished_at=after(70),
        failure=failure(Cause.HANG),
    )
    status = planned_in_turn(job(), (PREPARED,), (PREPARED, in_pods(at=2)), (PREPARED, first), at=2).status
    second = replace(
        first,
        attempt=2,
        report=told(2, at=65, time=AttemptTime(), step=5),
    )
    starts = {
        (action.attempt, action.reached_step)
        for attempts in ((first,), (first, second))
        for action in planned(job(status=status, backoffLimit=9), PREPARED, *attempts, at=999).actions
        if isinstance(action, StartAttempt) and action.stage is SFT
    }

    assert starts == {(2, 8), (3, 8)}
    assert digest_for(SFT) == second.stage_digest


SECONDS = st.floats(0, 500)
TIMES = st.builds(
    AttemptTime,
    load=SECONDS,
    train=SECONDS,
    save=SECONDS,
    redo=SECONDS,
    wait_for_storage=SECONDS,
)


@given(
    instants=st.lists(SECONDS, min_size=5, max_size=5),
    time=st.none() | TIMES,
    state=st.sampled_from([AttemptState.FAILED, AttemptState.STOPPED]),
    activity=st.sampled_from(Activity),
)
def test_all_seconds_are_counted_once_whatever_the_clocks_say(
    instants: list[float], time: AttemptTime | None, state: AttemptState, activity: Activity
) -> None:
    created, scheduled, ran, updated, ended = (after(one) for one in instants)
    words = report(SFT, at=0, progress=Progress(activity=activity), state=ReportState.RUNNING)
    seen = replace(
        running(SFT),
        started_at=created,
        scheduled_at=scheduled,
        running_since=ran,
        report=words.model_copy(update={"updated_at": updated, "time": time}),
        state=state,
        finished_at=ended,
        failure=failure(Cause.HANG) if state is AttemptState.FAILED else None,
    )

    entry = planned(job(status=planned(job(), PREPARED, at=2).status), PREPARED, seen, at=600).status.stage(SFT)
    assert entry.time is not None
    assert entry.time.until == max(after(2), ended)
    assert entry.time.total == round((entry.time.until - entry.time.since).total_seconds())
    assert set(entry.time.parts) == set(TimePart)
