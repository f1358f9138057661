"""Sign election and disjoint mean, apart from trimming."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as numpy_strategies

from paft_trainer.merge.methods.ties import ties

FLOATS = st.floats(-100, 100, width=32, allow_subnormal=False)
PAIRS = numpy_strategies.arrays(np.float32, (2, 3, 4), elements=FLOATS).map(torch.from_numpy)
WEIGHTS = st.floats(-10, 10).filter(lambda weight: weight == 0 or abs(weight) > 1e-3)


def one_entry(values: list[float], weights: list[float]) -> float:
    """The paper's steps 2 and 3 for a single entry, in Python floats."""
    weighted = [value * weight for value, weight in zip(values, weights, strict=True)]
    mass = sum(weighted)
    agreeing = [(w, v) for w, v in zip(weights, weighted, strict=True) if v * mass > 0]
    return sum(v for _, v in agreeing) / sum(abs(w) for w, _ in agreeing) if agreeing else 0.0


def test_the_papers_cases() -> None:
    sft = torch.tensor([[3.0, 3.0, 0.0, 2.0, 0.0, -1.0]])
    preference = torch.tensor([[1.0, -1.0, -2.0, -2.0, 0.0, -3.0]])
    merged = ties([sft, preference], [1.0, 1.0])
    assert merged.tolist() == [[2.0, 3.0, -2.0, 0.0, 0.0, -2.0]]


def test_an_arm_of_weight_0_has_no_vote() -> None:
    merged = ties([torch.tensor([[1.0, 0.0]]), torch.tensor([[-100.0, -100.0]])], [1.0, 0.0])
    assert merged.tolist() == [[1.0, 0.0]]


def test_weights_decide_the_election() -> None:
    deltas = [torch.tensor([[1.0]]), torch.tensor([[-2.0]])]
    assert ties(deltas, [1.0, 1.0]).tolist() == [[-2.0]]
    assert ties(deltas, [3.0, 1.0]).tolist() == [[1.0]]
    assert ties(deltas, [1.0, -1.0]).tolist() == [[1.5]]


@given(PAIRS, WEIGHTS, WEIGHTS)
def test_each_entry_is_as_the_formula_says(pair: torch.Tensor, sft: float, preference: float) -> None:
    merged = ties(list(pair), [sft, preference])
    assert bool(torch.isfinite(merged).all())
    balance = sft * pair[0].double() + preference * pair[1].double()
    mass = (abs(sft) * pair[0].abs() + abs(preference) * pair[1].abs()).double()
    for index in range(pair[0].numel()):
        if mass.flatten()[index] and abs(balance.flatten()[index]) < 1e-5 * mass.flatten()[index]:
            continue  # fp32 may elect the other sign here
        values = [float(delta.flatten()[index]) for delta in pair]
        expected = one_entry(values, [sft, preference])
        assert abs(float(merged.flatten()[index]) - expected) <= 1e-6 * abs(expected) + 1e-30


@given(PAIRS)
def test_one_arm_alone_is_that_arm(pair: torch.Tensor) -> None:
    nothing = torch.zeros_like(pair[0])
    assert torch.equal(ties([pair[0], nothing], [1.0, 1.0]), pair[0])
    assert torch.equal(ties([nothing, pair[0]], [1.0, 1.0]), pair[0])
    assert torch.equal(ties([pair[0], pair[0]], [1.0, 1.0]), pair[0])


@given(PAIRS, WEIGHTS, WEIGHTS)
def test_the_order_of_arms_does_not_matter(pair: torch.Tensor, sft: float, preference: float) -> None:
    assert torch.equal(ties(list(pair), [sft, preference]), ties(list(pair.flip(0)), [preference, sft]))


@given(PAIRS, st.sampled_from([0.25, 0.5, 2.0, 8.0]))
def test_larger_deltas_give_a_larger_merge_and_larger_weights_do_not(pair: torch.Tensor, factor: float) -> None:
    merged = ties(list(pair), [1.0, 1.0])
    assert torch.equal(ties(list(pair * factor), [1.0, 1.0]), merged * factor)
    assert torch.equal(ties(list(pair), [factor, factor]), merged)


@given(PAIRS, numpy_strategies.arrays(np.bool_, (3, 4)).map(torch.from_numpy))
def test_disjoint_supports_add_up(pair: torch.Tensor, mask: torch.Tensor) -> None:
    sft, preference = pair[0] * mask, pair[1] * ~mask
    assert torch.equal(ties([sft, preference], [1.0, 1.0]), sft + preference)


def test_the_inputs_are_left_as_they_are() -> None:
    deltas = [torch.ones(2, 2), torch.full((2, 2), -3.0)]
    ties(deltas, [1.0, 1.0])
    assert torch.equal(deltas[0], torch.ones(2, 2))
    assert torch.equal(deltas[1], torch.full((2, 2), -3.0))
