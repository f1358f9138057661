"""`python -m tests.campaigns.storage_faults`: every request of storage's operations meets every fault, and publishers
race for one output; may be ended and resumed.

Exit code 1 if anything is not as it has to be.
"""

import argparse
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from random import Random

from hack import seaweedfs
from tests.campaigns.results import Results, write_table
from tests.paft_operator.faults.runs import Result
from tests.storage_faults.exchanges import Fault
from tests.storage_faults.operations import OPERATIONS
from tests.storage_faults.races import RACES, Race, Races, all_races
from tests.storage_faults.trials import Trial, Trials, running_trials

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reference" / "storage-faults.md"
RESULTS = ROOT / ".paft" / "campaigns" / "storage_faults.jsonl"

Case = Trial | Race


def main() -> int:
    """Run what has no result yet, then write the tables."""
    options = _options()
    results = Results(options.results)
    with _ready() as (trials, races):
        cases: list[Case] = [*all_trials(trials), *all_races(options.races)]
        wanted = [case for case in results.missing(cases) if case.group.startswith(options.only)]
        for number, case in enumerate(wanted[: options.most], start=1):
            result = run(case, trials, races)
            results.add(result)
            if result.problems:
                print(f"{number}/{len(wanted)} {result.key}: {result.problems}", flush=True)
    table = f"{table_of_faults(results, cases)}\n\n{table_of_races(results, cases)}"
    print(table)
    if options.write:
        write_table(PAGE, table)
    return 1 if results.problems() else 0


def all_trials(trials: Trials) -> list[Trial]:
    """In an order of their own, so that a campaign which was ended early has seen everything in part."""
    found = [trial for operation in OPERATIONS for trial in trials.of(operation)]
    Random("order").shuffle(found)
    return found


def run(case: Case, trials: Trials, races: Races) -> Result:
    """One trial or race. `happened`: its outcome in one word, unless the fault never happened."""
    started = time.monotonic()
    if isinstance(case, Trial):
        outcome = trials.judge(case)
        happened, problems = ([outcome.ended.split(":")[0]] if outcome.happened else []), outcome.problems
    else:
        happened, problems = ["raced"], races.judge(case)
    seconds = time.monotonic() - started
    return Result(key=case.key, group=case.group, happened=happened, problems=problems, seconds=seconds)


def table_of_faults(results: Results, cases: Sequence[Case]) -> str:
    """One row per fault."""
    rows = [
        "| Fault | Points | Run | Fault happened | Not noticed | Refused | Found by verification | Killed "
        "| Ever wrong | Wrong now | Seconds per trial |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for fault in Fault:
        of_group = [case for case in cases if case.group == fault]
        run_now = results.of(of_group)
        outcomes = Counter(word for one in run_now for word in one.happened)
        counts = [len(of_group), len(run_now), outcomes.total()]
        counts += [outcomes[word] for word in ("succeeded", "found later", "killed")]
        counts.insert(4, outcomes["ArtifactMismatch"] + outcomes["ConfigInvalid"])
        counts += [results.count_ever_wrong(of_group), sum(bool(one.problems) for one in run_now)]
        rows.append(f"| {fault} | {' | '.join(map(str, counts))} | {_seconds(run_now)} |")
    return "\n".join(rows)


def table_of_races(results: Results, cases: Sequence[Case]) -> str:
    """One row per kind of race."""
    rows = [
        "| Race | Races | Run | Publishers | Ever wrong | Wrong now | Seconds per race |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    for group in dict.fromkeys(case.group for case in cases if isinstance(case, Race)):
        of_group = [case for case in cases if isinstance(case, Race) and case.group == group]
        run_now = results.of(of_group)
        publishers = sum(len(race.recipes) for race in of_group if results.of([race]))
        counts = [len(of_group), len(run_now), publishers]
        counts += [results.count_ever_wrong(of_group), sum(bool(one.problems) for one in run_now)]
        rows.append(f"| {group} | {' | '.join(map(str, counts))} | {_seconds(run_now)} |")
    return "\n".join(rows)


def _seconds(results: Sequence[Result]) -> str:
    return f"{sum(one.seconds for one in results) / len(results):.2f}" if results else ""


@contextmanager
def _ready() -> Iterator[tuple[Trials, Races]]:
    with (
        tempfile.TemporaryDirectory(prefix="paft-campaign-") as directory,
        seaweedfs.running(Path(directory) / "s3") as server,
    ):
        os.environ.update(server.environment)
        with running_trials(server, Path(directory) / "sources") as trials, Races.of(server) as races:
            yield trials, races


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.campaigns.storage_faults", description=__doc__)
    parser.add_argument("--results", type=Path, default=RESULTS, help="file with the results so far")
    parser.add_argument("--only", default="", help="only rows whose name begins with this")
    parser.add_argument("--most", type=int, default=None, help="end after so many trials and races")
    parser.add_argument("--races", type=int, default=RACES, help="number of races")
    parser.add_argument("--write", action="store_true", help=f"write the tables to {PAGE.relative_to(ROOT)}")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
