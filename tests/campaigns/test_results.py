"""A campaign goes on where it ended, and its table hides nothing."""

from pathlib import Path

import pytest
from tests.campaigns.faults import PAGE, all_cases
from tests.campaigns.results import BEGIN, END, Results, write_table
from tests.paft_operator.faults.cases import Case
from tests.paft_operator.faults.runs import Result

CASES = [Case(key=f"crash {number}", group="crash before write") for number in range(4)]


def _result(number: int, *, problems: list[str], happened: bool = True) -> Result:
    faults = ["before POST jobs x"] if happened else []
    return Result(
        key=f"crash {number}", group="crash before write", happened=faults, problems=problems, seconds=number * 2.0
    )


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "deeper" / "results.jsonl"


def test_what_is_done_is_not_missing(file: Path) -> None:
    results = Results(file)
    results.add(_result(0, problems=[]))
    results.add(_result(1, problems=["stuck"]))

    assert Results(file).missing(CASES) == CASES[1:]


def test_the_table_tells_what_was_mended(file: Path) -> None:
    results = Results(file)
    results.add(_result(1, problems=["stuck"]))
    results.add(_result(2, problems=[], happened=False))
    results.add(_result(1, problems=[]))
    results.add(_result(3, problems=["stuck"]))

    assert Results(file).table(CASES).splitlines()[2:] == ["| crash before write | 4 | 3 | 2 | 2 | 1 | 4 |"]


def test_the_table_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n", encoding="utf-8")

    write_table(page, "new")

    assert page.read_text(encoding="utf-8") == f"before\n{BEGIN}\nnew\n{END}\nafter\n"


def test_the_page_has_a_place_for_the_table() -> None:
    text = PAGE.read_text(encoding="utf-8")

    assert text.index(BEGIN) < text.index(END)


def test_keys_are_unique() -> None:
    keys = [case.key for case in all_cases()]

    assert len(keys) == len({*keys})
