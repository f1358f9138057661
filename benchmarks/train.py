"""What steps and checkpoints cost training, against a bare torch loop and plain TRL, and how long it takes to begin.

    python benchmarks/train.py [--quick] [--json FILE]

Both arms of SmolLM2-135M-Instruct on CPU, in one process and on two ZeRO-3 ranks; every program trains the same rows in
the same order in fresh processes. What the penalty adds is the time of its optimizer alone. DPO is also measured with
its reference computed in every step. What a checkpoint makes the product stand still is told as a share of the steps
between two by default. `--quick` measures a small random Llama, once. A goal that is missed is shown as missed; the
exit code is 1 only where measuring failed.
"""

import sys

# So that it runs as a file, too; its neighbour would then be found in place of the standard library's `operator`.
sys.path.insert(0, sys.path.pop(0).removesuffix("/benchmarks"))

import argparse
import tempfile
from pathlib import Path

from benchmarks.l1_step_cost import measure_step_cost, step_cost_measurements
from benchmarks.measurements import Measurement, open_console, tell_goals
from benchmarks.processes import ROOT, MeasuringFailed
from benchmarks.train_load.measuring import measure_start, measure_training
from benchmarks.train_load.programs import Program
from benchmarks.train_load.results import Case, Results, figures, goals, start_table, step_table
from benchmarks.train_load.settings import TrainSetting, small, smollm2, threads_of, trained_entries

from paft_api.stages import ARMS, StageName

STATE = ROOT / ".paft" / "benchmarks"
RANKS = (1, 2)


def main() -> int:
    """Measure, print tables, write JSON."""
    arguments = _parse()
    STATE.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(prefix="train-", dir=STATE) as folder:
            setting = small(Path(folder)) if arguments.quick else smollm2(STATE)
            measured = measure(setting, Path(folder))
    except MeasuringFailed as error:
        print(error, file=sys.stderr)
        return 1
    tell_goals(measured, arguments.json)
    return 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a small random Llama, every program once")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure and goal to FILE")
    return parser.parse_args()


def measure(setting: TrainSetting, folder: Path) -> list[Measurement]:
    """All tables, and all figures and goals."""
    results = measure_steps(setting, folder)
    results.start = measure_start(setting, folder / "start", ranks=2)
    console = open_console()
    console.print(step_table(results, f"Optimizer steps of {setting.name}"))
    console.print(start_table(results.start))
    return figures(results) + goals(results) + measure_penalty(setting, results)


def measure_penalty(setting: TrainSetting, results: Results) -> list[Measurement]:
    """What the optimizer of each kind of penalty adds to a step: alone, as a share of a step is less than noise."""
    ranks = max(RANKS)
    seconds_per_step = results.seconds(Program.OURS, StageName.SFT, ranks)
    seconds = measure_step_cost(trained_entries(setting.base) // ranks, threads=threads_of(ranks))
    return step_cost_measurements(seconds, seconds_per_step=seconds_per_step)


def measure_steps(setting: TrainSetting, folder: Path) -> Results:
    """Every program in turn, so that what else the machine does meets all of them."""
    results = Results()
    for number in range(setting.rounds):
        for program, stage, ranks in cases():
            print(f"round {number + 1} of {setting.rounds}: {stage}, {ranks} ranks, {program}", flush=True)
            place = folder / f"{number}-{program.name.lower()}-{stage}-{ranks}"
            timeline = measure_training(program, setting, stage, place, ranks=ranks)
            results.timelines.setdefault((program, stage, ranks), []).append(timeline)
    return results


def cases() -> list[Case]:
    """What is compared: the bare loop in one process only, the reference in every step for pairs only."""
    return [
        (program, stage, ranks)
        for stage in ARMS
        for ranks in RANKS
        for program in Program
        if (program is not Program.BARE or ranks == 1)
        and (program is not Program.ONLINE or stage is StageName.PREFERENCE)
    ]


if __name__ == "__main__":
    sys.exit(main())
