import json
import math
from io import StringIO
from pathlib import Path

from benchmarks.measurements import (
    Measurement,
    above,
    at_least,
    at_most,
    below,
    exactly,
    figure,
    goal_table,
    write_measurements,
)
from rich.console import Console


def test_a_goal_holds_up_to_its_limit_and_no_further() -> None:
    verdicts = {
        "at most": [at_most("", value, 0.5).holds for value in (0.4, 0.5, 0.6)],
        "at least": [at_least("", value, 0.5).holds for value in (0.4, 0.5, 0.6)],
        "below": [below("", value, 0.5).holds for value in (0.4, 0.5, 0.6)],
        "above": [above("", value, 0.5).holds for value in (0.4, 0.5, 0.6)],
        "exactly": [exactly("", value, 0.5).holds for value in (0.4, 0.5, 0.6)],
    }
    assert verdicts == {
        "at most": [True, True, False],
        "at least": [False, True, True],
        "below": [True, False, False],
        "above": [False, False, True],
        "exactly": [False, True, False],
    }


def test_what_is_not_a_number_misses_every_goal() -> None:
    assert not any(goal("", math.nan, 0.5).holds for goal in (at_most, at_least, below, above, exactly))


def test_the_json_is_a_list_of_figures_with_and_without_goals(tmp_path: Path) -> None:
    write_measurements(tmp_path / "l1.json", [figure("seconds per step", 2.5, "s"), above("zeros", 0.25, 0.4)])

    assert json.loads((tmp_path / "l1.json").read_text()) == [
        {"name": "seconds per step", "value": 2.5, "unit": "s", "goal": None, "holds": None},
        {"name": "zeros", "value": 0.25, "unit": "", "goal": "> 0.4", "holds": False},
    ]


def test_the_table_has_every_goal_and_tells_missed_ones() -> None:
    lines = _lines([figure("speed", 7), above("zeros", 0.25, 0.4), at_most("cost", 0.05, 0.06, "nats")])

    assert [line for line in lines if "│" in line] == [
        "│ zeros │ 0.25 │ > 0.4 │ MISSED │",
        "│ cost │ 0.05 nats │ <= 0.06 │ holds │",
    ]


def _lines(measurements: list[Measurement]) -> list[str]:
    screen = StringIO()
    Console(file=screen, width=100).print(goal_table(measurements))
    return [" ".join(line.split()) for line in screen.getvalue().splitlines()]
