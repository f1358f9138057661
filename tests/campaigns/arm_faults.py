"""`python -m tests.campaigns.arm_faults`: arms meet faults at drawn moments and go on in drawn worlds; may be ended and
resumed.

Exit code 1 if anything is not as it has to be.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack
from pathlib import Path
from random import Random

from tests.arm_faults.drawn_trials import Kind, Trial, drawn
from tests.arm_faults.small_disk import can_mount
from tests.arm_faults.trials import Trials
from tests.campaigns.results import Results, write_table
from tests.paft_operator.faults.runs import Result

from paft_api.stages import StageName

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reference" / "arm-faults.md"
RESULTS = ROOT / ".paft" / "campaigns" / "arm_faults.jsonl"
TRIALS = 64
"""Of each kind: a few come too late, when the arm is at its end."""
MORE_TRIALS = {Kind.STOPPED: 24, Kind.TORN: 16}
"""Of the kinds of which more come too late."""


def main() -> int:
    """Run what has no result yet, then write the table."""
    options = _options()
    results = Results(options.results)
    cases = all_trials()
    wanted = [case for case in results.missing(cases[options.skip :]) if case.group.startswith(options.only)]
    _run_all(wanted[: options.most], results, lanes=options.lanes)
    table = table_of(results, cases)
    print(table)
    if options.write:
        write_table(PAGE, table)
    return 1 if results.problems() else 0


def all_trials() -> list[Trial]:
    """In an order of their own, so that a campaign which was ended early has seen everything in part."""
    found = [drawn(kind, number) for kind in Kind for number in range(TRIALS)]
    more = [drawn(kind, TRIALS + number) for kind, count in MORE_TRIALS.items() for number in range(count)]
    for trials in (found, more):
        Random("order").shuffle(trials)
    return found + more


def _run_all(wanted: Sequence[Trial], results: Results, *, lanes: int) -> None:
    with (
        tempfile.TemporaryDirectory(prefix="paft-campaign-", ignore_cleanup_errors=True) as directory,
        ThreadPoolExecutor(lanes, thread_name_prefix="lane") as threads,
        ExitStack() as stack,
    ):
        if not can_mount(Path(directory) / "disk"):
            print("Full disks are left out: they are mounted, which root may do only.", flush=True)
            wanted = [trial for trial in wanted if trial.kind is not Kind.FULL_DISK]
        trials = Trials(Path(directory))
        futures = [threads.submit(run, trial, trials) for trial in wanted]
        # What goes wrong in the campaign itself ends it at once.
        stack.callback(threads.shutdown, cancel_futures=True)
        for number, future in enumerate(as_completed(futures), start=1):
            result = future.result()
            results.add(result)
            ended = "\n".join(result.problems) or ", ".join(result.happened) or "too late"
            print(f"{number}/{len(wanted)} {result.key}, {result.seconds:.1f} s: {ended}", flush=True)


def run(trial: Trial, trials: Trials) -> Result:
    """One trial. `happened`: the fault, unless it came too late."""
    started = time.monotonic()
    outcome = trials.judge(trial)
    seconds = time.monotonic() - started
    return Result(
        key=trial.key, group=trial.group, happened=outcome.happened, problems=outcome.problems, seconds=seconds
    )


def table_of(results: Results, trials: Sequence[Trial]) -> str:
    """One row per kind."""
    rows = [
        "| Fault | Trials | Run | Fault happened | SFT | Preference | Went on at 1, 2, 3, 4 ranks "
        "| Same bytes asked for | Ever wrong | Wrong now | Seconds per trial |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for kind in Kind:
        of_kind = [trial for trial in trials if trial.kind is kind]
        run_now = [trial for trial in of_kind if results.of([trial])]
        outcomes = results.of(run_now)
        counts = [len(of_kind), len(run_now), sum(bool(one.happened) for one in outcomes)]
        counts += [sum(trial.stage is stage for trial in run_now) for stage in (StageName.SFT, StageName.PREFERENCE)]
        worlds = ", ".join(str(sum(trial.after.ranks == ranks for trial in run_now)) for ranks in range(1, 5))
        same = sum(trial.after.ranks == trial.before.ranks for trial in run_now)
        wrong = [results.count_ever_wrong(of_kind), sum(bool(one.problems) for one in outcomes)]
        cells = [kind, *counts, worlds, same, *wrong, _seconds(outcomes)]
        rows.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(rows)


def _seconds(results: Sequence[Result]) -> str:
    return f"{sum(one.seconds for one in results) / len(results):.1f}" if results else ""


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.campaigns.arm_faults", description=__doc__)
    parser.add_argument("--results", type=Path, default=RESULTS, help="file with the results so far")
    parser.add_argument("--only", default="", help="only kinds whose name begins with this")
    parser.add_argument("--skip", type=int, default=0, help="leave out the first so many, run elsewhere")
    parser.add_argument("--most", type=int, default=None, help="end after so many trials")
    parser.add_argument("--lanes", type=int, default=1, help="trials at the same time")
    parser.add_argument("--write", action="store_true", help=f"write the table to {PAGE.relative_to(ROOT)}")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
