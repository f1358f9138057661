"""Whatever jobs do and whenever they are killed: a clean-up never takes what somebody needs, and ends with nothing."""

import copy
from collections.abc import Callable, Iterable

from hypothesis import given
from hypothesis import strategies as st
from tests.paft_trainer.keeping.lives import Stage

from paft_api.layout import CHECKPOINT_MANIFEST_FILE
from paft_api.spec.training import KeepSpec
from paft_trainer.keeping.attempt_marker import AttemptEnd
from paft_trainer.keeping.stage_verdicts import judge_stage
from paft_trainer.keeping.verdict import Verdict

JOBS = {"uid": KeepSpec(last=2, best=1), "other": KeepSpec(last=1, best=0), "uid-1": KeepSpec(last=1, best=2)}
"""One uid begins as another one ends."""

Step = tuple[str, str, int]
ACTIONS = ("begin", "begin", "save", "save", "save", "publish", "stop", "fail", "kill", "kill", "clean")
steps = st.lists(
    st.tuples(st.sampled_from(ACTIONS), st.sampled_from(("uid", "uid", "other", "uid-1")), st.integers(0, 9)),
    min_size=30,
    max_size=60,
)


def act(stage: Stage, step: Step, clean: Callable[[Stage, int], None]) -> None:
    """One thing happens; `number` is a loss, or after how many changes a clean-up is killed."""
    action, job, number = step
    if action == "begin":
        stage.begin(job, JOBS[job])
    elif action == "clean":
        clean(stage, 2**number)
    else:
        for life in [life for life in stage.running if life.job == job]:
            match action:
                case "save":
                    # A checkpoint takes seven steps; some are left torn.
                    for _ in range(7 if number > 2 else number + 1):
                        stage.save(life, eval_loss=None if number > 7 else number / 4)
                case "publish":
                    for _ in range(1 + number % 3):
                        stage.publish(life)
                case "stop":
                    stage.end(life, AttemptEnd.STOPPED)
                case "fail":
                    stage.end(life, AttemptEnd.FAILED)
                case "kill":
                    stage.kill(life)


def clean_carefully(stage: Stage, most: int) -> None:
    """Clean up, one change after another, and look at each whether it takes what somebody needs."""
    needed = stage.needed()
    running = tuple(life.folder for life in stage.running)
    verdicts = [verdict for verdict in judge_stage(stage.contents()) if verdict.remove]
    for verdict in verdicts:
        assert not (verdict.upload is not None and verdict.name.startswith(running)), "a running attempt writes that"
    for change in changes_of(verdicts)[:most]:
        assert change not in needed
        folder, _, name = change.rpartition("/")
        if name != CHECKPOINT_MANIFEST_FILE:
            assert f"{folder}/{CHECKPOINT_MANIFEST_FILE}" not in stage.objects, "half of it looks complete"
        stage.objects.discard(change)
        stage.uploads.discard(change)


def changes_of(verdicts: Iterable[Verdict]) -> list[str]:
    """Names in the order in which they go."""
    return [name for one in verdicts for name in ([one.name] if one.upload is not None else one.objects)]


@given(steps)
def test_a_clean_up_takes_nothing_that_somebody_needs(steps: list[Step]) -> None:
    stage = Stage()
    for step in steps:
        act(stage, step, clean_carefully)


@given(steps, st.integers(0, 40))
def test_one_that_is_cut_short_is_completed_by_the_next(steps: list[Step], cut: int) -> None:
    stage = Stage()
    for step in steps:
        act(stage, step, lambda stage, most: None)
    at_once = copy.deepcopy(stage)
    for one, most in ((at_once, 10_000), (stage, cut), (stage, 10_000)):
        clean_carefully(one, most)
    assert stage.objects == at_once.objects
    assert stage.uploads == at_once.uploads
    assert not [verdict for verdict in judge_stage(stage.contents()) if verdict.remove], "one clean-up is enough"


@given(steps)
def test_once_the_adapter_is_there_and_all_are_over_nothing_else_stays(steps: list[Step]) -> None:
    stage = Stage()
    for step in steps:
        act(stage, step, clean_carefully)
    for life in stage.running:
        stage.end(life, AttemptEnd.FAILED)
    # Whatever was killed, the next attempt of its job tells, also where it only takes the adapter that is there.
    for job, keep in JOBS.items():
        stage.begin(job, keep)
    for life in stage.running:
        while not life.is_over:
            stage.publish(life)
    clean_carefully(stage, 10_000)
    assert all("/" not in name for name in stage.objects)
    assert not stage.uploads
