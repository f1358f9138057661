"""Results of a campaign: one JSON object per line, so that it can go on where it ended, and a table of them."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path

from tests.paft_operator.faults.cases import Case
from tests.paft_operator.faults.runs import Result

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

    def missing(self, cases: Iterable[Case]) -> list[Case]:
        """Cases without a result, and those that had problems: they are run again."""
        return [case for case in cases if case.key not in self._results or self._results[case.key].problems]

    def table(self, cases: Sequence[Case]) -> str:
        """One row per group of cases."""
        rows = [
            "| Fault | Points | Run | Fault happened | Ever wrong | Wrong now | Seconds per run |",
            "|---|--:|--:|--:|--:|--:|--:|",
        ]
        for group in dict.fromkeys(case.group for case in cases):
            of_group = [case for case in cases if case.group == group]
            run = [self._results[case.key] for case in of_group if case.key in self._results]
            seconds = f"{sum(one.seconds for one in run) / len(run):.0f}" if run else ""
            happened, wrong = sum(bool(one.happened) for one in run), sum(bool(one.problems) for one in run)
            ever_wrong = sum(one.key in self._ever_wrong for one in run)
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
