"""What the proximal step costs: the optimizer alone in each of its forms, on tensors of the size of LoRA."""

import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from benchmarks.measurements import Measurement, at_most, figure
from rich.table import Table

from paft_trainer.training.factor_adamw import FactorAdamW, SparsityTarget
from paft_trainer.training.factor_partitions import Factor, whole_partitions
from paft_trainer.training.proximal_adamw import ProximalAdamW

ENTRIES = 4_880_000
"""Of A and B together: LoRA r=16 on all linear layers of SmolLM2-135M."""
QUICK_ENTRIES = 400_000
ROUNDS = 11
SHARE_OF_A_STEP = 0.01
_R = 16


def measure_step_cost(entries: int, *, threads: int) -> dict[str, float]:
    """Median seconds of one optimizer step by form; the forms take turns, so that load meets all alike."""
    torch.set_num_threads(threads)
    steps = {name: build(entries) for name, build in FORMS.items()}
    taken: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(ROUNDS):
        for name, step in steps.items():
            began = time.perf_counter()
            step()
            taken[name].append(time.perf_counter() - began)
    return {name: statistics.median(seconds) for name, seconds in taken.items()}


def step_cost_table(seconds: dict[str, float], entries: int) -> Table:
    """One line for each form."""
    table = Table(title=f"one optimizer step, {entries / 1e6:.3g} million entries")
    for column in ("form", "ms", "/ AdamW"):
        table.add_column(column)
    for name, taken in seconds.items():
        table.add_row(name, f"{taken * 1e3:.3g}", f"{taken / seconds['AdamW']:.2f}")
    return table


def step_cost_measurements(seconds: dict[str, float], *, seconds_per_step: float | None) -> list[Measurement]:
    """Seconds of each form; where a training step was measured in the same run, also what a form adds to one."""
    measured = [figure(f"optimizer step, {name}", taken, "s") for name, taken in seconds.items()]
    if seconds_per_step is None:
        return measured
    plain = seconds["AdamW"]
    return measured + [
        at_most(f"{name}: added to a training step", (taken - plain) / seconds_per_step, SHARE_OF_A_STEP)
        for name, taken in seconds.items()
        if name != "AdamW"
    ]


def _groups(entries: int) -> list[dict[str, Any]]:
    generator = torch.Generator().manual_seed(0)
    groups: list[dict[str, Any]] = []
    for factor in Factor:
        weight = torch.nn.Parameter(torch.randn(entries // 2 // _R, _R, generator=generator) * 1e-2)
        weight.grad = torch.randn(weight.shape, generator=generator) * 1e-4
        groups.append({"params": [weight], "factor": factor.value})
    return groups


def _plain(entries: int) -> Callable[[], object]:
    return torch.optim.AdamW(_groups(entries), lr=1e-4).step


def _proximal(entries: int) -> Callable[[], object]:
    return ProximalAdamW(_groups(entries), lr=1e-4, l1_strength=1e-4, l1_ramp_steps=0).step


def _steered(entries: int, *, by_rows: bool) -> Callable[[], object]:
    optimizer = FactorAdamW(_groups(entries), lr=1e-4, l1_strength=0.0, l1_ramp_steps=0)
    target = SparsityTarget(shares=dict.fromkeys(Factor, 0.5), ramp_steps=ROUNDS)
    optimizer.attach(whole_partitions(optimizer, by_rows=by_rows), target, torch.device("cpu"))
    steps = iter(range(1, ROUNDS + 1))

    def step() -> None:
        optimizer.step()
        optimizer.steer(next(steps))

    return step


FORMS: dict[str, Callable[[int], Callable[[], object]]] = {
    "AdamW": _plain,
    "proximal": _proximal,
    "steered": lambda entries: _steered(entries, by_rows=False),
    "steered by rows": lambda entries: _steered(entries, by_rows=True),
}
"""What builds the step of each form, for a number of entries."""
