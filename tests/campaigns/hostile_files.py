"""`python -m tests.campaigns.hostile_files`: spoilt and hostile folders, and clean ones; may be ended and resumed.

Exit code 1 if anything was overlooked, if anything ended otherwise than with an error of ours, or at a false alarm.
"""

import argparse
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tests.campaigns.results import Results, write_table
from tests.hostile_files.cases import KINDS, CleanCase, HostileCase, clean_cases, hostile_cases
from tests.hostile_files.folders import GoodFolders, build_good_folders
from tests.hostile_files.trials import judge, judge_clean
from tests.paft_operator.faults.runs import Result

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reference" / "hostile-files.md"
RESULTS = ROOT / ".paft" / "campaigns" / "hostile_files.jsonl"

AnyCase = HostileCase | CleanCase


def main() -> int:
    """Run what has no result yet, then write the table."""
    options = _options()
    results = Results(options.results)
    cases = all_cases()
    wanted = [case for case in results.missing(cases) if case.group.startswith(options.only)]
    with tempfile.TemporaryDirectory(prefix="paft-campaign-") as directory:
        good = build_good_folders(Path(directory))
        for number, case in enumerate(wanted, start=1):
            result = run(case, good)
            results.add(result)
            if result.problems:
                print(f"{number}/{len(wanted)} {result.key} in {case.target}: {result.problems}", flush=True)
    table = table_of(results, cases)
    print(table)
    if options.write:
        write_table(PAGE, table)
    return 1 if results.problems() else 0


def all_cases() -> list[AnyCase]:
    """The whole campaign."""
    return [*hostile_cases(), *clean_cases()]


def run(case: AnyCase, good: GoodFolders) -> Result:
    """One trial or clean run. `happened`: its outcome in one word."""
    started = time.monotonic()
    if isinstance(case, HostileCase):
        outcome, problems = judge(case, good)
    else:
        problems = judge_clean(case.key, case.target, good)
        outcome = "false alarm" if problems else "silent"
    seconds = time.monotonic() - started
    return Result(key=case.key, group=case.group, happened=[outcome], problems=problems, seconds=seconds)


def table_of(results: Results, cases: Sequence[AnyCase]) -> str:
    """One row per kind; `harmless` were found by nobody, and are no different to an independent reader."""
    rows = [
        "| What was done | Has to be | Trials | Refused on reading | Found by verification only | Harmless "
        "| Ever wrong | Wrong now |",
        "|---|---|--:|--:|--:|--:|--:|--:|",
    ]
    has_to_be = {kind.name: kind.expected.value for kind in KINDS} | {"nothing": "silent"}
    for group in dict.fromkeys(case.group for case in cases):
        of_group = [case for case in cases if case.group == group]
        run_now = results.of(of_group)
        outcomes = Counter(one.happened[0] for one in run_now)
        counts = [len(run_now), outcomes["refused"], outcomes["found"], outcomes["harmless"]]
        counts += [results.count_ever_wrong(of_group), sum(bool(one.problems) for one in run_now)]
        rows.append(f"| {group} | {has_to_be[group]} | {' | '.join(map(str, counts))} |")
    return "\n".join(rows)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.campaigns.hostile_files", description=__doc__)
    parser.add_argument("--results", type=Path, default=RESULTS, help="file with the results so far")
    parser.add_argument("--only", default="", help="only kinds whose name begins with this")
    parser.add_argument("--write", action="store_true", help=f"write the table to {PAGE.relative_to(ROOT)}")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
