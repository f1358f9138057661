"""What the L1 penalty does to the SFT arm: sparsity, its cost in loss and time, and its guards.

    python benchmarks/l1.py [--quick] [--json FILE]

Every figure comes from the product's own code on CPU, two ZeRO-3 ranks through the launcher. Peers in the same run:
plain AdamW (λ 0), the penalty in the loss ("subgradient"), and, on the toy, the product in one process. `--quick`
measures the toy only. A goal that is missed is shown as missed; the exit code is 1 only where measuring failed.
"""

import sys

# So that it runs as a file, too; its neighbour would then be found in place of the standard library's `operator`.
sys.path.insert(0, sys.path.pop(0).removesuffix("/benchmarks"))

import argparse
import os
import tempfile
from pathlib import Path

# DeepSpeed looks for an accelerator when it is imported, and warns where there is none.
os.environ["DS_ACCELERATOR"] = "cpu"

from benchmarks import arm_settings
from benchmarks.arm_outcomes import ArmRun, Untrained
from benchmarks.arm_runs import Case, Method, run_in_one_process, run_on_two_ranks
from benchmarks.arm_settings import ArmSetting
from benchmarks.l1_results import Row, Series, demo_goals, measurements_of, series_table, toy_goals
from benchmarks.measurements import Measurement, goal_table, open_console, write_measurements
from benchmarks.processes import ROOT, MeasuringFailed

STATE = ROOT / ".paft" / "benchmarks"
TOY_STRENGTHS, QUICK_TOY_STRENGTHS = (1e-3, 1e-2), (1e-3,)
DEMO_STRENGTHS = (1e-4, 1e-3)
DEMO_STEPS = 24


def main() -> int:
    """Measure, print tables, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="the toy only, one λ")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure and goal to FILE")
    arguments = parser.parse_args()
    STATE.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(prefix="l1-", dir=STATE) as folder:
            measured = measure_toy(Path(folder) / "toy", QUICK_TOY_STRENGTHS if arguments.quick else TOY_STRENGTHS)
            if not arguments.quick:
                measured += measure_demo(Path(folder) / "demo")
    except MeasuringFailed as error:
        print(error, file=sys.stderr)
        return 1
    open_console().print(goal_table(measured))
    if arguments.json is not None:
        write_measurements(arguments.json, measured)
    return 0


def measure_toy(folder: Path, strengths: tuple[float, ...]) -> list[Measurement]:
    """The toy on two ranks, against one process and against the peers in one process."""
    folder.mkdir()
    setting = arm_settings.toy(folder)
    spec, first_step = setting.spec_at(strengths[0]), setting.spec_at(strengths[-1], steps=1)
    cases = {
        "one process": Case(spec=spec),
        "subgradient": Case(spec=spec, method=Method.SUBGRADIENT),
        "first step": Case(spec=first_step),
        "first step, unguarded": Case(spec=first_step, method=Method.UNGUARDED),
    }
    print("toy: one process", flush=True)
    untrained, alone = run_in_one_process(setting, cases, folder / "one-process")
    one_process, subgradient = (
        _row(setting, name, strengths[0], untrained, alone[name]) for name in ("one process", "subgradient")
    )
    peer, *sparse = _on_two_ranks(setting, (0.0, *strengths), untrained, folder)
    series = Series(
        setting="toy",
        untrained=untrained,
        peer=peer,
        sparse=tuple(sparse),
        first_step=alone["first step"],
        others=(one_process, subgradient),
    )
    open_console().print(series_table(series))
    return measurements_of(series) + toy_goals(
        series, one_process=one_process, subgradient=subgradient, unguarded=alone["first step, unguarded"]
    )


def measure_demo(folder: Path) -> list[Measurement]:
    """The demo's arm on two ranks."""
    folder.mkdir()
    print("demo: the base", flush=True)
    setting = arm_settings.demo(STATE, steps=DEMO_STEPS)
    print("demo: before training", flush=True)
    untrained, _ = run_in_one_process(setting, {}, folder / "one-process")
    print("demo: first step", flush=True)
    first_step = run_on_two_ranks(setting, setting.spec_at(DEMO_STRENGTHS[-1], steps=1), folder / "first-step")
    peer, *sparse = _on_two_ranks(setting, (0.0, *DEMO_STRENGTHS), untrained, folder)
    series = Series(setting="demo", untrained=untrained, peer=peer, sparse=tuple(sparse), first_step=first_step)
    open_console().print(series_table(series))
    return measurements_of(series) + demo_goals(series)


def _on_two_ranks(setting: ArmSetting, strengths: tuple[float, ...], untrained: Untrained, folder: Path) -> list[Row]:
    rows = []
    for strength in strengths:
        print(f"{setting.name}: two ranks, λ {strength:g}", flush=True)
        run = run_on_two_ranks(setting, setting.spec_at(strength), folder / f"two-ranks-{strength:g}")
        rows.append(_row(setting, "two ranks", strength, untrained, run))
    return rows


def _row(setting: ArmSetting, arm: str, strength: float, untrained: Untrained, run: ArmRun) -> Row:
    steps = setting.spec.training.max_steps
    assert steps is not None
    return Row(arm=arm, strength=strength, steps=steps, tokens=untrained.tokens, run=run)


if __name__ == "__main__":
    sys.exit(main())
