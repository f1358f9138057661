"""The L1 arm's figures: one row per training, compared with the row at λ = 0, and the goals they have to meet."""

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.arm_outcomes import ArmRun, Untrained
from benchmarks.measurements import Measurement, above, at_most, below, exactly, figure
from rich.table import Table

COLUMNS = (
    "arm",
    "λ",
    "eval loss",
    "− λ 0",
    "gain kept",
    "zeros A",
    "zeros B",
    "ΔW < 1e-5",
    "ΔW zero",
    "bf16 zeros A / B / ΔW",
    "‖ΔW‖",
    "/ λ 0",
    "s/step",
    "/ λ 0",
)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One training. `steps`: optimizer steps. `tokens`: that they trained on."""

    arm: str
    strength: float
    steps: int
    tokens: int
    run: ArmRun

    @property
    def seconds_per_step(self) -> float:
        """Mean over the steps, without evaluation and saving."""
        return self.tokens / self.run.tokens_per_second / self.steps


@dataclass(frozen=True, kw_only=True)
class Series:
    """Trainings of one setting. `peer`: on two ranks at λ = 0. `sparse`: on two ranks by rising λ.

    `others`: rows that are shown besides. `first_step`: after one step at the strongest λ.
    """

    setting: str
    untrained: Untrained
    peer: Row
    sparse: tuple[Row, ...]
    first_step: ArmRun
    others: tuple[Row, ...] = ()

    @property
    def rows(self) -> tuple[Row, ...]:
        """All that is shown."""
        return (self.peer, *self.sparse, *self.others)

    def gain_kept(self, row: Row) -> float:
        """What training lowered the evaluation loss by, as a share of what it does at λ = 0."""
        before = self.untrained.eval_loss
        return (before - row.run.eval_loss) / (before - self.peer.run.eval_loss)


def series_table(series: Series) -> Table:
    """One line per training; differences and ratios are against plain AdamW, λ = 0."""
    before = series.untrained.eval_loss
    table = Table(title=f"{series.setting}: {series.peer.steps} steps, evaluation loss before training {before:.4f}")
    for column in COLUMNS:
        table.add_column(column)
    for row in series.rows:
        table.add_row(*_cells(row, series))
    return table


def _cells(row: Row, series: Series) -> tuple[str, ...]:
    sparsity, peer = row.run.sparsity, series.peer
    rounded = (sparsity.a_zero_bf16, sparsity.b_zero_bf16, sparsity.delta_zero_bf16)
    return (
        row.arm,
        f"{row.strength:g}",
        f"{row.run.eval_loss:.4f}",
        f"{row.run.eval_loss - peer.run.eval_loss:+.4f}",
        f"{series.gain_kept(row):.1%}",
        f"{sparsity.a_zero:.2%}",
        f"{sparsity.b_zero:.2%}",
        f"{sparsity.delta_small:.2%}",
        f"{sparsity.delta_zero:.2%}",
        " / ".join(f"{share:.1%}" for share in rounded),
        f"{sparsity.delta_norm:.4g}",
        f"{sparsity.delta_norm / peer.run.sparsity.delta_norm:.2f}",
        f"{row.seconds_per_step:.3g}",
        f"{row.seconds_per_step / peer.seconds_per_step:.2f}",
    )


def measurements_of(series: Series) -> list[Measurement]:
    """Figures of every row, and the goals that any setting has to meet."""
    before, peer = series.untrained.eval_loss, series.peer
    measured = [
        figure(f"{series.setting}, evaluation loss before training", before, "nats"),
        *(entry for row in series.rows for entry in _figures(series, row)),
        exactly(f"{series.setting}, λ 0: exact zeros in A and B", _zeros(peer.run), 0),
        exactly(f"{series.setting}, after step 1: exact zeros in A", series.first_step.sparsity.a_zero, 0),
    ]
    for row in (peer, *series.sparse):
        name = f"{series.setting}, λ {row.strength:g}"
        measured += [
            below(f"{name}: evaluation loss, below that before training", row.run.eval_loss, before, "nats"),
            above(f"{name}: ‖ΔW‖", row.run.sparsity.delta_norm, 0),
        ]
    return measured


def toy_goals(series: Series, *, one_process: Row, subgradient: Row, unguarded: ArmRun) -> list[Measurement]:
    """What the toy shows: two ranks equal one process, only a proximal step gives zeros, and it needs its guards."""
    ours = next(row for row in series.sparse if row.strength == one_process.strength)
    name = f"toy, λ {ours.strength:g}"
    return [
        above(f"{name}: exact zeros in B", ours.run.sparsity.b_zero, 0.2),
        at_most(f"{name}: evaluation loss over λ 0", ours.run.eval_loss - series.peer.run.eval_loss, 0.15, "nats"),
        exactly(f"{name}, subgradient: exact zeros in A and B", _zeros(subgradient.run), 0),
        above("toy, unguarded, after step 1: exact zeros in A", unguarded.sparsity.a_zero, 0.9),
        *(
            below(f"{name}, two ranks against one process: {label}", abs(two - one), 0.005)
            for label, two, one in (
                ("exact zeros in A", ours.run.sparsity.a_zero, one_process.run.sparsity.a_zero),
                ("exact zeros in B", ours.run.sparsity.b_zero, one_process.run.sparsity.b_zero),
                ("ΔW below 1e-5", ours.run.sparsity.delta_small, one_process.run.sparsity.delta_small),
            )
        ),
    ]


def demo_goals(series: Series) -> list[Measurement]:
    """What λ does to the demo's model: the default sparsifies at little cost, ten times as much nearly all of ΔW."""
    default, strong = series.sparse
    cost = default.run.eval_loss - series.peer.run.eval_loss
    return [
        above(f"demo, λ {default.strength:g}: exact zeros in B", default.run.sparsity.b_zero, 0.4),
        at_most(f"demo, λ {default.strength:g}: evaluation loss over λ 0", cost, 0.06, "nats"),
        above(f"demo, λ {strong.strength:g}: ΔW below 1e-5", strong.run.sparsity.delta_small, 0.9),
    ]


def _figures(series: Series, row: Row) -> Sequence[Measurement]:
    name = f"{series.setting}, {row.arm}, λ {row.strength:g}"
    sparsity, peer = row.run.sparsity, series.peer
    return [
        figure(f"{name}: evaluation loss", row.run.eval_loss, "nats"),
        figure(f"{name}: gain kept", series.gain_kept(row)),
        *(figure(f"{name}: {field}", getattr(sparsity, field)) for field in type(sparsity).model_fields),
        figure(f"{name}: seconds per step", row.seconds_per_step, "s"),
        figure(f"{name}: seconds per step over λ 0", row.seconds_per_step / peer.seconds_per_step),
    ]


def _zeros(run: ArmRun) -> float:
    """The larger share of exact zeros, of A's and of B's."""
    return max(run.sparsity.a_zero, run.sparsity.b_zero)
