"""The pure parts of the L1 benchmark, on figures that are easy to follow."""

from io import StringIO

import pytest
from benchmarks.arm_outcomes import ArmRun, Untrained
from benchmarks.l1_results import Row, Series, demo_goals, measurements_of, series_table, toy_goals
from benchmarks.measurements import WIDTH, Measurement
from rich.console import Console

from paft_api.report import Sparsity

BEFORE = 1.5


def run(eval_loss: float, *, a: float = 0.0, b: float = 0.0, small: float = 0.0, norm: float = 2.0) -> ArmRun:
    """`a`, `b`: exact zeros. `small`: entries of ΔW below 1e-5."""
    sparsity = Sparsity(
        a_zero=a,
        a_small=a,
        a_zero_bf16=a,
        b_zero=b,
        b_small=b,
        b_zero_bf16=b,
        delta_zero=0.125,
        delta_small=small,
        delta_zero_bf16=0.25,
        delta_norm=norm,
    )
    return ArmRun(eval_loss=eval_loss, sparsity=sparsity, tokens_per_second=50.0 if a == b == 0.0 else 40.0)


def row(strength: float, of: ArmRun, arm: str = "two ranks") -> Row:
    return Row(arm=arm, strength=strength, steps=10, tokens=1000, run=of)


def series(
    *sparse: Row, peer: ArmRun | None = None, first_step: ArmRun | None = None, others: tuple[Row, ...] = ()
) -> Series:
    return Series(
        setting="demo",
        untrained=Untrained(eval_loss=BEFORE, tokens=1000),
        peer=row(0.0, peer or run(1.0)),
        sparse=sparse,
        first_step=first_step or run(1.4),
        others=others,
    )


DEFAULT = row(1e-4, run(1.05, a=0.05, b=0.55, small=0.4, norm=1.0))
STRONG = row(1e-3, run(1.3, a=0.05, b=0.97, small=0.95, norm=0.5))


def missed(measurements: list[Measurement]) -> list[str]:
    return [measurement.name for measurement in measurements if measurement.holds is False]


def test_the_table_compares_every_row_with_plain_adamw() -> None:
    screen = StringIO()
    Console(file=screen, width=WIDTH).print(series_table(series(DEFAULT, others=(row(1e-4, run(1.2), "subgradient"),))))

    title, *lines = screen.getvalue().splitlines()
    cells = [[cell.strip() for cell in line.strip("│").split("│")] for line in lines if line.startswith("│")]
    assert title.strip() == "demo: 10 steps, evaluation loss before training 1.5000"
    plain = ["0.00%", "0.00%", "0.00%", "12.50%", "0.0% / 0.0% / 25.0%", "2", "1.00", "2", "1.00"]
    sparse = ["5.00%", "55.00%", "40.00%", "12.50%", "5.0% / 55.0% / 25.0%", "1", "0.50", "2.5", "1.25"]
    assert cells == [
        ["two ranks", "0", "1.0000", "+0.0000", "100.0%", *plain],
        ["two ranks", "0.0001", "1.0500", "+0.0500", "90.0%", *sparse],
        ["subgradient", "0.0001", "1.2000", "+0.2000", "60.0%", *plain],
    ]


def test_every_figure_of_every_row_is_told_once() -> None:
    measured = measurements_of(series(DEFAULT, STRONG))
    names = [measurement.name for measurement in measured]
    values = {measurement.name: measurement.value for measurement in measured}

    assert len(names) == len(set(names))
    assert values["demo, evaluation loss before training"] == BEFORE
    assert values["demo, two ranks, λ 0.0001: b_zero"] == 0.55
    assert values["demo, two ranks, λ 0.001: delta_norm"] == 0.5
    assert values["demo, two ranks, λ 0.001: gain kept"] == pytest.approx(0.4)
    assert values["demo, two ranks, λ 0.001: seconds per step"] == 2.5
    assert values["demo, two ranks, λ 0.001: seconds per step over λ 0"] == 1.25


def test_good_figures_miss_no_goal() -> None:
    measured = series(DEFAULT, STRONG)

    assert missed(measurements_of(measured) + demo_goals(measured)) == []


@pytest.mark.parametrize(
    ("measured", "names"),
    [
        (series(DEFAULT, STRONG, peer=run(1.0, b=0.01)), ["demo, λ 0: exact zeros in A and B"]),
        (series(DEFAULT, STRONG, first_step=run(1.4, a=0.01)), ["demo, after step 1: exact zeros in A"]),
        (
            series(DEFAULT, row(1e-3, run(1.6, b=0.97, small=0.95))),
            ["demo, λ 0.001: evaluation loss, below that before training"],
        ),
        (series(DEFAULT, row(1e-3, run(1.3, b=1.0, small=1.0, norm=0.0))), ["demo, λ 0.001: ‖ΔW‖"]),
        (series(row(1e-4, run(1.05, b=0.4)), STRONG), ["demo, λ 0.0001: exact zeros in B"]),
        (series(row(1e-4, run(1.07, b=0.5)), STRONG), ["demo, λ 0.0001: evaluation loss over λ 0"]),
        (series(DEFAULT, row(1e-3, run(1.3, b=0.97, small=0.9))), ["demo, λ 0.001: ΔW below 1e-5"]),
    ],
)
def test_each_goal_of_the_demo_is_missed_where_its_figure_is_bad(measured: Series, names: list[str]) -> None:
    assert missed(measurements_of(measured) + demo_goals(measured)) == names


def test_the_toys_goals_see_zeros_of_the_subgradient_missing_guards_and_ranks_that_differ() -> None:
    ours = row(1e-3, run(1.05, a=0.5, b=0.3, small=0.2))
    good = {"one_process": ours, "subgradient": row(1e-3, run(1.05), "subgradient"), "unguarded": run(1.4, a=1.0)}
    other = row(1e-3, run(1.05, a=0.5, b=0.306, small=0.2), "one process")

    assert missed(toy_goals(series(ours), **good)) == []
    assert missed(toy_goals(series(ours), **(good | {"one_process": other}))) == [
        "toy, λ 0.001, two ranks against one process: exact zeros in B"
    ]
    assert missed(toy_goals(series(ours), **(good | {"subgradient": ours}))) == [
        "toy, λ 0.001, subgradient: exact zeros in A and B"
    ]
    assert missed(toy_goals(series(ours), **(good | {"unguarded": run(1.4)}))) == [
        "toy, unguarded, after step 1: exact zeros in A"
    ]
