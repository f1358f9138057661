import itertools
from collections.abc import Iterator

from benchmarks.operator_load.changes import LENGTH_OF_ENDING, PROGRESS_PAUSE, Change, ChangeKind, Expected
from benchmarks.operator_load.schedule import Schedule

from paft_api.stages import StageName


def reports() -> Iterator[Change]:
    for step in itertools.count(1):
        expected = Expected(stage=StageName.SFT, step=step)
        yield Change(kind=ChangeKind.REPORT, stage=StageName.SFT, expected=expected, pause=PROGRESS_PAUSE)


def ends(count: int, pause: float = 0.5) -> Iterator[Change]:
    expected = Expected(stage=StageName.SFT)
    return iter([Change(kind=ChangeKind.JOB, stage=StageName.SFT, expected=expected, pause=pause)] * count)


def test_a_job_waits_for_its_pause_after_its_change_has_shown() -> None:
    schedule = Schedule(ending={}, progressing={"a": reports()}, seconds=60)
    found = schedule.next(0.0)
    assert found is not None

    assert schedule.next(1.0) is None
    schedule.done(*found, 2.0)
    assert schedule.next(2.0 + PROGRESS_PAUSE - 0.1) is None
    again = schedule.next(2.0 + PROGRESS_PAUSE)
    assert again is not None
    assert again[1].expected == Expected(stage=StageName.SFT, step=2)


def test_those_that_wait_longest_come_first() -> None:
    schedule = Schedule(ending={}, progressing={name: reports() for name in "abc"}, seconds=60)

    assert [found[0] for _ in range(3) if (found := schedule.next(0.0)) is not None] == ["a", "b", "c"]


def test_jobs_that_end_go_first_start_spread_and_stop_at_their_end() -> None:
    seconds = 4 * LENGTH_OF_ENDING
    names = [f"ending-{number}" for number in range(20)]
    schedule = Schedule(ending={name: ends(2) for name in names}, progressing={"a": reports()}, seconds=seconds)
    seen: list[tuple[float, str]] = []
    for tick in range(int(seconds * 50)):
        now = tick / 50
        found = schedule.next(now)
        if found is not None:
            seen.append((now, found[0]))
            schedule.done(*found, now)

    first = {name: next(now for now, one in seen if one == name) for name in names}
    assert all([one for _, one in seen].count(name) == 2 for name in names)
    assert max(first.values()) <= seconds - LENGTH_OF_ENDING
    assert max(first.values()) - min(first.values()) > seconds / 3
    assert next(now for now, one in seen if one == "a") < 1.0


def test_an_end_that_is_due_is_not_held_up_by_progress() -> None:
    schedule = Schedule(ending={"e": ends(1)}, progressing={"a": reports()}, seconds=0)

    assert [found[0] for _ in range(2) if (found := schedule.next(0.0)) is not None] == ["e", "a"]
