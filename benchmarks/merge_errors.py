"""How far merges on a bfloat16 base are from exact arithmetic: ours, mergekit's and PEFT's.

    python benchmarks/merge_errors.py [--quick] [--json FILE]

A random Llama of 5 M parameters and two adapters of rank 16 are merged by `linear` and by `ties` at density 0.5, with
deltas of three sizes. What each merge changes is compared with float64. Even the exact result has an error once it is
rounded to bfloat16, which nobody can do without; a merge is as good as can be where its entries are that result's.
`--quick` takes one size of deltas, and no `linear`. Goals are ours only.
"""

import sys

# So that it runs as a file, too; its neighbour would then be found in place of the standard library's `operator`.
sys.path.insert(0, sys.path.pop(0).removesuffix("/benchmarks"))

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

import torch
from benchmarks.measurements import Measurement, at_most, figure, open_console, tell_goals
from benchmarks.merge_load.exact_merges import load_deltas, load_weights, merge_exactly, round_to_bfloat16
from benchmarks.merge_load.measured_run import run_measured
from benchmarks.merge_load.models import A_STD, ALPHA, write_models
from benchmarks.merge_load.ours import DENSITY, LINEAR, TIES, merge_command, run_spec
from benchmarks.merge_load.peers import MergekitCache, mergekit_command, peft_command
from benchmarks.merge_load.places import file_place
from benchmarks.merge_load.shapes import RANK, ModelShape
from benchmarks.processes import ROOT, MeasuringFailed
from rich.table import Table

STATE = ROOT / ".paft" / "benchmarks" / "merge-errors"
SHAPE = ModelShape(hidden=512, intermediate=1024, layers=2, heads=8, key_value_heads=2, vocabulary=512)
DELTA_STDS, QUICK_STDS = (1e-3, 1e-4, 1e-5), (1e-4,)
METHODS, QUICK_METHODS = ("linear", "ties"), ("ties",)
OUR_MERGES = {"linear": LINEAR, "ties": TIES}
EXACT, OURS = "float64, rounded once", "paft"
UNLIKE_LIMIT = 1e-4
"""Share of our entries that may be another bfloat16 number than the exact result's: near the middle between two, and
near the magnitude at which trimming ends, fp32 deltas may fall on the other side."""


@dataclass(frozen=True, kw_only=True)
class Errors:
    """Of what a merge changes, over all adapted weights. `relative`: norm of the error over the norm of the exact
    change. `unlike`: share of entries that are not the exact result rounded once."""

    delta_std: float
    method: str
    program: str
    relative: float
    cosine: float
    unlike: float


def main() -> int:
    """Measure, print a table, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="deltas of 1e-4 and ties only")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure and goal to FILE")
    arguments = parser.parse_args()
    STATE.mkdir(parents=True, exist_ok=True)
    measured: list[Errors] = []
    try:
        for delta_std in QUICK_STDS if arguments.quick else DELTA_STDS:
            with tempfile.TemporaryDirectory(prefix="run-", dir=STATE) as folder:
                methods = QUICK_METHODS if arguments.quick else METHODS
                measured += [
                    errors for method in methods for errors in measure(Path(folder) / method, method, delta_std)
                ]
    except MeasuringFailed as error:
        print(error, file=sys.stderr)
        return 1
    figures = [one for errors in measured for one in measurements_of(errors)]
    open_console().print(errors_table(measured))
    tell_goals(figures, arguments.json)
    return 0


def measure(folder: Path, method: str, delta_std: float) -> Iterator[Errors]:
    """Every program's merge in turn, the exact one first."""
    models = folder / "models"
    write_models(models, SHAPE, b_std=delta_std / (ALPHA / RANK * RANK**0.5 * A_STD))
    base = load_weights(models / "base")
    arms = [load_deltas(models / arm) for arm in ("sft", "preference")]
    exact = {name: merge_exactly(method, (arms[0][name], arms[1][name]), DENSITY) for name in arms[0]}
    rounded = {name: round_to_bfloat16(base[name] + delta) for name, delta in exact.items()}
    for program, merged in ((EXACT, rounded), *_merged(folder, models, method)):
        change = torch.cat([(merged[name] - base[name]).ravel() for name in exact])
        wanted = torch.cat([delta.ravel() for delta in exact.values()])
        unlike = torch.cat([(merged[name] != rounded[name]).ravel() for name in exact])
        yield Errors(
            delta_std=delta_std,
            method=method,
            program=program,
            relative=float((change - wanted).norm() / wanted.norm()),
            cosine=float(change @ wanted / (change.norm() * wanted.norm())),
            unlike=float(unlike.double().mean()),
        )


def _merged(folder: Path, models: Path, method: str) -> Iterator[tuple[str, dict[str, torch.Tensor]]]:
    """By program: the weights of its merge in float64."""
    log, run_spec_file = folder / "log.txt", folder / "run_spec.json"
    with file_place(models, folder) as place, place.new_output() as output:
        document = run_spec(OUR_MERGES[method], place.models, output, place.artifacts, attempt=folder, endpoint=None)
        run_spec_file.write_text(document)
        run_measured(merge_command(run_spec_file), log)
        yield OURS, load_weights(Path(unquote(output.removeprefix("file://"))))
    cache = MergekitCache(folder=folder / "mergekit-cache")
    run_measured(mergekit_command(models, method, cache, folder / "mergekit"), log)
    yield "mergekit", load_weights(folder / "mergekit")
    run_measured(peft_command(models, method, folder / "peft"), log)
    yield "PEFT", load_weights(folder / "peft")


def errors_table(measured: Sequence[Errors]) -> Table:
    """One line per merge."""
    table = Table(title="Merges on a bfloat16 base against float64")
    for column in ("std of ΔW", "method", "program", "relative error", "cosine", "entries unlike the exact result's"):
        table.add_column(column)
    for errors in measured:
        table.add_row(
            f"{errors.delta_std:g}",
            errors.method,
            errors.program,
            f"{errors.relative:.1%}",
            f"{errors.cosine:.4f}",
            f"{errors.unlike:.4%}",
        )
    return table


def measurements_of(errors: Errors) -> list[Measurement]:
    """Figures of one merge; of ours, a goal."""
    name = f"ΔW {errors.delta_std:g}, {errors.method}, {errors.program}"
    unlike = f"{name}: entries unlike the exact result's"
    return [
        figure(f"{name}: relative error", errors.relative),
        figure(f"{name}: cosine", errors.cosine),
        at_most(unlike, errors.unlike, UNLIKE_LIMIT) if errors.program == OURS else figure(unlike, errors.unlike),
    ]


if __name__ == "__main__":
    sys.exit(main())
