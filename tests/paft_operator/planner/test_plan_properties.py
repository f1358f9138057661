"""Whatever happens, in whatever order: a job ends in success with one published checkpoint, or fails with a cause."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.paft_operator.planner.simulated_world import World
from tests.paft_operator.planner.situations import OUTPUT_URI

from paft_api.causes import CAUSE_FACTS, Cause
from paft_api.stages import StageName
from paft_api.status import ConditionType, Phase

RETRYABLE = [cause for cause in Cause if CAUSE_FACTS[cause].retryable]
STAGES = st.sampled_from(list(StageName))
HAPPENINGS = st.one_of(
    st.tuples(st.just("killed"), st.integers(0, 2)),
    st.tuples(st.just("finish"), STAGES),
    st.tuples(st.just("fail"), STAGES, st.sampled_from(list(Cause)), st.booleans()),
    st.tuples(st.just("time"), st.sampled_from([0.5, 15.0, 400.0])),
    st.just(("forget",)),
    st.just(("suspend",)),
    st.just(("resume",)),
    st.just(("change",)),
    st.just(("retry",)),
)


HARMLESS = HAPPENINGS.filter(lambda one: one[0] != "fail")
FEWEST = 20
"""Hypothesis would make lists of five on average, which hardly get beyond prepare."""


def _world(*, together: bool, prepared: bool) -> World:
    """One whose arms have begun, or nothing."""
    world = World(together=together)
    if prepared:
        world.tick()
        world.let_time_pass(1)
        world.finish(StageName.PREPARE)
        world.tick()
        world.let_time_pass(1)
    return world


WORLDS = st.builds(_world, together=st.booleans(), prepared=st.booleans())


def live(world: World, happenings: list[tuple[object, ...]]) -> None:
    """Let everything happen in turn; the planner looks after each thing unless it was killed meanwhile."""
    for happening in happenings:
        happen(world, happening)
        if happening[0] != "killed":
            world.tick()
        world.let_time_pass(0.1)


def happen(world: World, happening: tuple[object, ...]) -> None:
    """Let one thing happen."""
    match happening:
        case ("killed", int(count)):
            world.tick(killed_after=count)
        case ("finish", StageName() as stage):
            world.finish(stage)
        case ("fail", StageName() as stage, Cause() as cause, bool(brings_checkpoint)):
            world.fail(stage, cause, brings_checkpoint=brings_checkpoint)
        case ("time", float(seconds)):
            world.let_time_pass(seconds)
        case ("forget",):
            world.forget()
        case ("suspend" | "resume" as change,):
            if world.suspended != (change == "suspend"):
                world.suspended = not world.suspended
                world.generation += 1
        case ("change",):
            world.change_spec()
        case ("retry",):
            world.ask_for_retry()
        case unknown:
            raise AssertionError(unknown)


def settle(world: World) -> None:
    """Nothing goes wrong any more."""
    if world.suspended:
        happen(world, ("resume",))
    for _ in range(40):
        world.tick()
        world.let_time_pass(400)
        for stage in StageName:
            world.finish(stage)
        if world.is_over:
            return
    raise AssertionError(f"not over after all this time: {world.status}")


@pytest.mark.hypothesis
@given(world=WORLDS, happenings=st.lists(HAPPENINGS, min_size=FEWEST, max_size=60))
def test_every_history_ends_in_one_checkpoint_or_in_a_cause(world: World, happenings: list[tuple[object, ...]]) -> None:
    live(world, happenings)
    settle(world)

    failed = world.status.condition(ConditionType.FAILED)
    if failed is not None:
        assert world.status.phase is Phase.FAILED
        assert failed.reason in set(Cause)
        assert failed.message
    else:
        assert world.status.phase is Phase.SUCCEEDED
        assert len(world.merges) == 1
        assert world.status.output is not None
        assert world.status.output.uri == OUTPUT_URI


@pytest.mark.hypothesis
@given(world=WORLDS, happenings=st.lists(HARMLESS, min_size=FEWEST, max_size=60))
def test_without_failures_every_history_succeeds(world: World, happenings: list[tuple[object, ...]]) -> None:
    live(world, happenings)
    settle(world)

    assert world.status.phase is Phase.SUCCEEDED
    assert len(world.merges) == 1


@pytest.mark.hypothesis
@given(causes=st.lists(st.sampled_from(RETRYABLE), min_size=1, max_size=8), backoff_limit=st.integers(0, 4))
def test_an_arm_is_tried_as_often_as_backoff_limit_allows(causes: list[Cause], backoff_limit: int) -> None:
    world = World(backoff_limit=backoff_limit)
    for _ in range(2):
        world.tick()
        world.let_time_pass(1)
        world.finish(StageName.PREPARE)
    for cause in causes:
        world.tick()
        world.fail(StageName.SFT, cause, brings_checkpoint=False)
        world.let_time_pass(400)
    settle(world)

    tries = [number for stage, number in world.started if stage is StageName.SFT]
    assert tries == list(range(1, min(len(causes), backoff_limit) + 2))
    assert (world.status.phase is Phase.FAILED) == (len(causes) > backoff_limit)
