"""The history of each module's sparsity stays small and keeps its ends."""

import json

from paft_trainer.training.sparsity import ModuleSparsity, Shares
from paft_trainer.training.sparsity_history import MAXIMUM_POINTS, with_point


def module(zero: float) -> ModuleSparsity:
    shares = Shares(zero=zero, small=1 / 3, zero_bf16=0.0, relative=2 / 3)
    return ModuleSparsity(a=shares, b=shares, delta=shares, zero_rows=0.25)


def test_a_point_has_a_column_for_each_measure_and_an_entry_for_each_module() -> None:
    history = with_point({}, 20, {"layers.0.q_proj": module(0.1), "layers.1.q_proj": module(0.2)})

    assert history["modules"] == ["layers.0.q_proj", "layers.1.q_proj"]
    [point] = history["points"]
    assert (point["step"], point["bZero"], point["deltaSmall"]) == (20, [0.1, 0.2], [0.3333, 0.3333])
    assert set(point) == {
        "step",
        *(f"{part}{measure}" for part in ("a", "b", "delta") for measure in ("Zero", "Small", "Relative")),
        "deltaZeroRows",
    }


def test_a_long_training_keeps_a_bounded_number_of_points_and_the_newest() -> None:
    history: dict[str, object] = {}
    for step in range(1, 200):
        history = with_point(history, step, {"layers.0.q_proj": module(0.1)})
        steps = [point["step"] for point in history["points"]]  # type: ignore[attr-defined]
        assert len(steps) <= MAXIMUM_POINTS
        assert steps == sorted(set(steps))
        assert steps[-1] == step


def test_a_step_that_is_measured_again_after_a_resume_has_one_point() -> None:
    first = with_point(with_point({}, 5, {"m": module(0.1)}), 10, {"m": module(0.2)})

    again = with_point(first, 10, {"m": module(0.3)})

    assert [(point["step"], point["aZero"]) for point in again["points"]] == [(5, [0.1]), (10, [0.3])]


def test_a_large_adapters_history_stays_below_a_megabyte() -> None:
    modules = {f"base_model.model.model.layers.{n}.mlp.gate_proj": module(0.12345) for n in range(560)}
    history: dict[str, object] = {}
    for step in range(1, 40):
        history = with_point(history, step, modules)

    assert len(json.dumps(history)) < 1_000_000
