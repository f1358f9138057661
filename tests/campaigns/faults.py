"""`python -m tests.campaigns.faults`: every crash point, every event fault, many takeovers; may be ended and resumed.

Exit code 1 if any run is not as an undisturbed one.
"""

import argparse
import os
import signal
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import as_completed
from pathlib import Path
from random import Random

from hack import control_plane as control_planes
from hack.control_plane import Settings
from hack.control_plane.client import KubernetesClient
from tests.campaigns.results import Results, write_table
from tests.paft_operator.definition import install_definition
from tests.paft_operator.faults.cases import Case, crash_cases, drawn_cases, event_cases, takeover_cases
from tests.paft_operator.faults.runs import Runs

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reference" / "campaigns.md"
RESULTS = ROOT / ".paft" / "campaigns" / "faults.jsonl"
PASSES = 3
SEEDS = 10
TAKEOVERS = 100


def main() -> int:
    """Run what has no result yet, then write the table."""
    options = _options()
    for number in (signal.SIGINT, signal.SIGTERM):
        # Also where it was started in the background: operators and control plane end with it.
        signal.signal(number, signal.default_int_handler)
    results = Results(options.results)
    cases = all_cases()
    wanted = [case for case in results.missing(cases) if case.group.startswith(options.only)]
    _run(wanted[: options.most], results, lanes=options.lanes)
    table = results.table(cases)
    print(table)
    if options.write:
        write_table(PAGE, table)
    return 1 if results.problems() else 0


def all_cases() -> list[Case]:
    """The whole campaign, pass by pass. Operators outlive a run where the next one wants the same settings."""
    single = [*crash_cases(PASSES), *event_cases(PASSES)]
    Random("order").shuffle(single)
    single.sort(key=lambda case: (case.key.split()[-1], len(case.settings)))
    takeovers = sorted(takeover_cases(TAKEOVERS), key=lambda case: repr(case.settings))
    return [*drawn_cases(SEEDS), *takeovers, *single]


def _run(cases: Sequence[Case], results: Results, *, lanes: int) -> None:
    if not cases:
        return
    with (
        tempfile.TemporaryDirectory(prefix="paft-campaign-") as directory,
        control_planes.running(Settings(directory=Path(directory) / "control-plane")) as control_plane,
        Runs(control_plane, Path(directory) / "lanes", lanes=lanes) as runs,
    ):
        with KubernetesClient(control_plane.kubeconfig) as client:
            install_definition(client)
        futures = [runs.submit(case) for case in cases]
        for number, future in enumerate(as_completed(futures), start=1):
            result = future.result()
            results.add(result)
            print(f"{number}/{len(cases)} {result.key}: {result.problems or 'as undisturbed'}", flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.campaigns.faults", description=__doc__)
    parser.add_argument("--results", type=Path, default=RESULTS, help="file with the results so far")
    parser.add_argument("--only", default="", help="only groups whose name begins with this")
    parser.add_argument("--most", type=int, default=None, help="end after so many runs")
    parser.add_argument("--lanes", type=int, default=2 * (os.cpu_count() or 1), help="runs at the same time")
    parser.add_argument("--write", action="store_true", help=f"write the table to {PAGE.relative_to(ROOT)}")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
