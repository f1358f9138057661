"""What the L1 penalty does to the SFT arm: sparsity, its cost in loss and time, and its guards.

    python benchmarks/l1.py [--quick] [--json FILE]

Every figure comes from the product's own code on CPU, two ZeRO-3 ranks through the launcher. Peers in the same run:
plain AdamW (λ 0), the paper's loss by autograd ("subgradient"), and, on the toy, the product in one process. Arms that
are steered to a target, and what the optimizer's step costs, have tables of their own. `--quick` measures the toy only,
at one λ and one target. A goal that is missed is shown as missed; the exit code is 1 only where measuring failed.
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
from benchmarks.arm_settings import RANKS, ArmSetting
from benchmarks.l1_results import Row, Series, demo_goals, measurements_of, series_table, toy_goals
from benchmarks.l1_steered import (
    QUICK_TARGETS,
    TARGETS,
    steered_measurements,
    steered_table,
    subgradient_goals,
    train_steered,
)
from benchmarks.l1_step_cost import (
    ENTRIES,
    QUICK_ENTRIES,
    measure_step_cost,
    step_cost_measurements,
    step_cost_table,
)
from benchmarks.measurements import Measurement, open_console, tell_goals
from benchmarks.processes import ROOT, MeasuringFailed

from paft_api.spec.sft import L1Spec

STATE = ROOT / ".paft" / "benchmarks"
TOY_STRENGTHS, QUICK_TOY_STRENGTHS = (1e-3, 1e-2), (1e-3,)
DEMO_STRENGTHS = (1e-4, 1e-3)
DEMO_STEPS = 24


def main() -> int:
    """Measure, print tables, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="the toy only, one λ and one target")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure and goal to FILE")
    arguments = parser.parse_args()
    STATE.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(prefix="l1-", dir=STATE) as folder:
            measured = measure_toy(Path(folder) / "toy", quick=arguments.quick)
            seconds_per_step = None
            if not arguments.quick:
                of_demo, seconds_per_step = measure_demo(Path(folder) / "demo")
                measured += of_demo
            measured += measure_cost(seconds_per_step)
    except MeasuringFailed as error:
        print(error, file=sys.stderr)
        return 1
    tell_goals(measured, arguments.json)
    return 0


def measure_toy(folder: Path, *, quick: bool) -> list[Measurement]:
    """The toy on two ranks, against one process and against the peers in one process; then steered."""
    folder.mkdir()
    strengths = QUICK_TOY_STRENGTHS if quick else TOY_STRENGTHS
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
    product = _subgradient_on_two_ranks(setting, strengths[0], untrained, folder)
    series = Series(
        setting="toy",
        untrained=untrained,
        peer=peer,
        sparse=tuple(sparse),
        first_step=alone["first step"],
        others=(one_process, subgradient, product),
    )
    open_console().print(series_table(series))
    steered = train_steered(setting, QUICK_TARGETS if quick else TARGETS, folder)
    open_console().print(steered_table(steered))
    return [
        *measurements_of(series),
        *toy_goals(series, one_process=one_process, subgradient=subgradient, unguarded=alone["first step, unguarded"]),
        *subgradient_goals(papers=subgradient, product=product),
        *steered_measurements(steered),
    ]


def measure_cost(seconds_per_step: float | None) -> list[Measurement]:
    """The optimizer's step alone. `seconds_per_step`: of the demo's arm at λ = 0, where it was measured."""
    entries = QUICK_ENTRIES if seconds_per_step is None else ENTRIES
    # A rank's own share, on the threads that a rank has.
    seconds = measure_step_cost(entries // RANKS, threads=max(1, (os.cpu_count() or 1) // RANKS))
    open_console().print(step_cost_table(seconds, entries // RANKS))
    return step_cost_measurements(seconds, seconds_per_step=seconds_per_step)


def measure_demo(folder: Path) -> tuple[list[Measurement], float]:
    """The demo's arm on two ranks, and its seconds per step at λ = 0."""
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
    return measurements_of(series) + demo_goals(series), peer.seconds_per_step


def _on_two_ranks(setting: ArmSetting, strengths: tuple[float, ...], untrained: Untrained, folder: Path) -> list[Row]:
    rows = []
    for strength in strengths:
        print(f"{setting.name}: two ranks, λ {strength:g}", flush=True)
        run = run_on_two_ranks(setting, setting.spec_at(strength), folder / f"two-ranks-{strength:g}")
        rows.append(_row(setting, "two ranks", strength, untrained, run))
    return rows


def _subgradient_on_two_ranks(setting: ArmSetting, strength: float, untrained: Untrained, folder: Path) -> Row:
    print(f"{setting.name}: two ranks, subgradient, λ {strength:g}", flush=True)
    spec = setting.spec_with(L1Spec.model_validate({"mode": "subgradient", "lambda": strength}))
    run = run_on_two_ranks(setting, spec, folder / "two-ranks-subgradient")
    return _row(setting, "subgradient, two ranks", strength, untrained, run)


def _row(setting: ArmSetting, arm: str, strength: float, untrained: Untrained, run: ArmRun) -> Row:
    steps = setting.spec.training.max_steps
    assert steps is not None
    return Row(arm=arm, strength=strength, steps=steps, tokens=untrained.tokens, run=run)


if __name__ == "__main__":
    sys.exit(main())
