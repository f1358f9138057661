"""How fast a base is loaded under ZeRO-3, what that reads and holds, against the stock way and against bare reading.

    python benchmarks/load.py [--quick] [--docs] [--json FILE]

Two CPU ranks load SmolLM2-135M and a random Llama of 1.1 B parameters from a real S3 server on loopback: ours; the
stock way, a download to disk by boto3 and from_pretrained; and, for comparison, the same bytes in ranged GETs that
nobody verifies or keeps. Then whole arms run, one alone and both with a node's cache (of 1.1 B one after the other).
The server counts what it sends. The base's index is there before, as after prepare. `--quick` takes SmolLM2 only, every
way once. `--docs` prints the tables of docs/reference/base-loading.md. A goal that is missed is shown as missed; the
exit code is 1 only where measuring failed.
"""

import sys

# So that it runs as a file, too; its neighbour would then be found in place of the standard library's `operator`.
sys.path.insert(0, sys.path.pop(0).removesuffix("/benchmarks"))

import argparse
import os
import signal
import tempfile
from pathlib import Path

from benchmarks.load_runs.bases import LLAMA, SMOLLM2, upload_base
from benchmarks.load_runs.counting_server import CountingServer, counting_server
from benchmarks.load_runs.documentation import documentation
from benchmarks.load_runs.measuring import WAYS, Loading, measure_arms, measure_loading
from benchmarks.load_runs.results import Results, measurements_of, results_table
from benchmarks.measurements import open_console, tell_goals
from benchmarks.processes import ROOT, MeasuringFailed, use_memory

from paft_api.stages import StageName

STATE = ROOT / ".paft" / "benchmarks" / "load"
FULL_RUNS, QUICK_RUNS = 3, 1
MEMORY_BYTES = 10 * 10**9


def main() -> int:
    """Measure, print tables, write JSON."""
    arguments = _parse()
    # Whoever stops a run must not be left with a server and gigabytes.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(1))
    STATE.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(prefix="run-", dir=STATE) as folder:
            measured = measure(Path(folder), is_quick=arguments.quick)
    except MeasuringFailed as error:
        print(error, file=sys.stderr)
        return 1
    console, measurements = open_console(), [one for results in measured for one in measurements_of(results)]
    for results in measured:
        console.print(results_table(results))
    tell_goals(measurements, arguments.json)
    if arguments.docs:
        print(documentation(measured))
    return 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help=f"{SMOLLM2} only, every way once")
    parser.add_argument("--docs", action="store_true", help="print the tables of docs/reference/base-loading.md")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure and goal to FILE")
    return parser.parse_args()


def measure(folder: Path, *, is_quick: bool) -> list[Results]:
    """Of every base."""
    use_memory(MEMORY_BYTES)
    with counting_server(folder / "s3") as server:
        os.environ.update(server.server.environment)
        runs = QUICK_RUNS if is_quick else FULL_RUNS
        return [measure_base(name, server, folder, runs) for name in ((SMOLLM2,) if is_quick else (SMOLLM2, LLAMA))]


def measure_base(name: str, server: CountingServer, folder: Path, runs: int) -> Results:
    """Ways in turn, so that what disturbs the machine disturbs all of them."""
    print(f"{name}: making and uploading", flush=True)
    base = upload_base(name, server)
    loadings: dict[str, list[Loading]] = {way: [] for way in WAYS}
    for run in range(runs):
        for way in WAYS:
            loading = measure_loading(way, base, server, folder)
            loadings[way].append(loading)
            print(f"{name}: {way}, {run + 1} of {runs}: {loading.seconds:.2f} s", flush=True)
    print(f"{name}: whole arms", flush=True)
    arm = measure_arms((StageName.SFT,), base, server, folder)
    both = measure_arms((StageName.SFT, StageName.PREFERENCE), base, server, folder)
    return Results(base=base, loadings=loadings, arm=arm, both=both)


if __name__ == "__main__":
    sys.exit(main())
