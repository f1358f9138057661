"""Results of a campaign: one JSON object per line, so that it can go on where it ended, and a table of them."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Protocol, TypeVar

from tests.paft_operator.faults.runs import Result


class Keyed(Protocol):
    """A case of any campaign. `key`: unique in it. `group`: the row of the table."""

    @property
    def key(self) -> str: ...

    @property
    def group(self) -> str: ...


AnyCase = TypeVar("AnyCase", bound=Keyed)

BEGIN, END = "<!-- table -->", "<!-- end of table -->"


class Results:
    """Those in one file. Of a case the newest counts, but what was ever wrong stays told."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._results: dict[str, Result] = {}
        self._ever_wrong: set[str] = set()
        if file.exists():
            for line in file.read_text(encoding="utf-8").splitlines():
                self._take(Result(**json.loads(line)))

    def add(self, result: Result) -> None:
        """Keep a result."""
        self._file.parent.mkdir(parents=True, exist_ok=True)
        with self._file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(result)) + "\n")
        self._take(result)

    def problems(self) -> list[Result]:
        """Results that are not as they should be."""
        return [result for result in self._results.values() if result.problems]

    def of(self, cases: Iterable[Keyed]) -> list[Result]:
        """Those of these cases, as far as they have one."""
        return [self._results[case.key] for case in cases if case.key in self._results]

    def count_ever_wrong(self, cases: Iterable[Keyed]) -> int:
        """How many of these cases had problems in any run."""
        return sum(case.key in self._ever_wrong for case in cases)

    def missing(self, cases: Iterable[AnyCase]) -> list[AnyCase]:
        """Cases without a result, and those that had problems: they are run again."""
        return [case for case in cases if case.key not in self._results or self._results[case.key].problems]

    def table(self, cases: Sequence[Keyed]) -> str:
        """One row per group of cases."""
        rows = [
            "| Fault | Points | Run | Fault happened | Ever wrong | Wrong now | Seconds per run |",
            "|---|--:|--:|--:|--:|--:|--:|",
        ]
        for group in dict.fromkeys(case.group for case in cases):
            of_group = [case for case in cases if case.group == group]
            run = self.of(of_group)
            seconds = f"{sum(one.seconds for one in run) / len(run):.0f}" if run else ""
            happened, wrong = sum(bool(one.happened) for one in run), sum(bool(one.problems) for one in run)
            ever_wrong = self.count_ever_wrong(of_group)
            rows.append(f"| {group} | {len(of_group)} | {len(run)} | {happened} | {ever_wrong} | {wrong} | {seconds} |")
        return "\n".join(rows)

    def _take(self, result: Result) -> None:
        self._results[result.key] = result
        if result.problems:
            self._ever_wrong.add(result.key)


def write_table(page: Path, table: str) -> None:
    """Put the table where the page has its old one."""
    text = page.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    page.write_text(f"{before}{BEGIN}\n{table}\n{END}{after}", encoding="utf-8")
