"""Arms that are steered to a target, on two ranks, and our penalty in the loss against autograd's."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.arm_outcomes import ArmRun
from benchmarks.arm_runs import run_on_two_ranks
from benchmarks.arm_settings import ArmSetting
from benchmarks.l1_results import Row
from benchmarks.measurements import Measurement, at_most, below, figure
from rich.table import Table

from paft_api.spec.sft import L1Spec

COLUMNS = ("arm", "steps", "zeros A", "zeros B", "zero rows", "ΔW zero", "ΔW < 1e-5", "eval loss", "‖ΔW‖", "warned")
POINTS = 0.03
"""How far from its target a share may end, where it can be reached."""


@dataclass(frozen=True, kw_only=True)
class Steered:
    """One training with a target."""

    name: str
    steps: int
    target: float
    by_rows: bool
    run: ArmRun

    @property
    def share_of_b(self) -> float:
        """What B's target is about: its zeros, or its zero rows."""
        rows = self.run.sparsity.delta_zero_rows
        assert rows is not None
        return rows if self.by_rows else self.run.sparsity.b_zero


TARGETS: tuple[tuple[float, bool, int], ...] = ((0.5, False, 60), (0.5, True, 60), (0.9, False, 300))
"""Target, whether of rows, and optimizer steps."""
QUICK_TARGETS = TARGETS[:1]


def train_steered(setting: ArmSetting, targets: Sequence[tuple[float, bool, int]], folder: Path) -> list[Steered]:
    """Train one arm for each target."""
    steered = []
    for target, by_rows, steps in targets:
        name = f"{'rows of B' if by_rows else 'entries'}, target {target:g}"
        print(f"{setting.name}: two ranks, {name}", flush=True)
        l1 = L1Spec(target_sparsity=target, granularity="rows" if by_rows else "element")
        spec = setting.spec_with(l1, steps=steps)
        run = run_on_two_ranks(setting, spec, folder / f"target-{target:g}-{'rows' if by_rows else 'entries'}")
        steered.append(Steered(name=name, steps=steps, target=target, by_rows=by_rows, run=run))
    return steered


def steered_table(steered: Sequence[Steered]) -> Table:
    """One line per training."""
    table = Table(title="steered to a target, two ranks")
    for column in COLUMNS:
        table.add_column(column)
    for entry in steered:
        sparsity = entry.run.sparsity
        shares = (sparsity.a_zero, sparsity.b_zero, sparsity.delta_zero_rows, sparsity.delta_zero, sparsity.delta_small)
        table.add_row(
            entry.name,
            str(entry.steps),
            *(f"{share:.2%}" for share in shares),
            f"{entry.run.eval_loss:.4f}",
            f"{sparsity.delta_norm:.4g}",
            "yes" if entry.run.warnings else "no",
        )
    return table


def steered_measurements(steered: Sequence[Steered]) -> list[Measurement]:
    """Every figure, and how far A and B are from a target that they can reach."""
    measured = []
    for entry in steered:
        sparsity = entry.run.sparsity
        measured += [
            figure(f"{entry.name}: evaluation loss", entry.run.eval_loss, "nats"),
            *(figure(f"{entry.name}: {field}", getattr(sparsity, field)) for field in type(sparsity).model_fields),
            at_most(f"{entry.name}: B, off its target", abs(entry.share_of_b - entry.target), POINTS),
        ]
        if not entry.run.warnings:
            measured.append(at_most(f"{entry.name}: A, off its target", abs(sparsity.a_zero - entry.target), POINTS))
    return measured


def subgradient_goals(*, papers: Row, product: Row) -> list[Measurement]:
    """The product's penalty under ZeRO-3 against the paper's loss by autograd in one process."""
    name = f"λ {product.strength:g}, subgradient, two ranks against the paper's loss"
    ours, theirs = product.run, papers.run
    relative_norm = abs(ours.sparsity.delta_norm / theirs.sparsity.delta_norm - 1)
    return [
        below(f"{name}: evaluation loss", abs(ours.eval_loss - theirs.eval_loss), 0.005, "nats"),
        below(f"{name}: ‖ΔW‖, relative", relative_norm, 0.005),
    ]
