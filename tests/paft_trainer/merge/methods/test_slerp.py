"""Spherical interpolation: its ends, its middle, and where it is a line."""

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from tests.merge_strategies import CHUNKS, PAIRS, assert_is_reference, assert_same_bits, options_with, reference_of
from tests.merged_matrices import base_bytes, factors_of, merge_factors, merge_matrices, options_of

from paft_api.spec.merge import MergeOptions
from paft_trainer.merge.methods.slerp import LINEAR_FROM

PLACES = st.floats(0, 1)


def at(t: float, **more: object) -> MergeOptions:
    return options_of("slerp", weights=[{"sft": 1 - t, "preference": t}], **more)


def interpolated(pair: np.ndarray, t: float) -> np.ndarray:
    return merge_matrices(*pair, at(t))


@given(PAIRS, options_with("slerp"), CHUNKS)
def test_it_is_shoemakes_formula(pair: np.ndarray, options: MergeOptions, chunk: int) -> None:
    assert_is_reference(pair, options, chunk_elements=chunk)


@given(PAIRS, options_with("slerp"), CHUNKS)
def test_between_whole_weights_it_is_that_arc(pair: np.ndarray, options: MergeOptions, chunk: int) -> None:
    base = np.random.default_rng(1).standard_normal(pair[0].shape).astype(np.float32)
    whole = options.model_copy(update={"whole_weights": True})
    (merged,) = merge_factors(
        [whole], *map(factors_of, pair), base=base_bytes(base, "F32"), chunk_elements=chunk
    )  # fmt: skip
    reference = reference_of(pair, whole, base)
    error = np.abs(merged.values.astype(np.float64) - base - reference.delta)
    assert (error <= 2e-6 * (reference.scale + np.abs(base))).all()


@given(PAIRS, st.sampled_from(["BF16", "F16", "F32"]))
def test_an_arc_between_deltas_knows_nothing_of_one_between_whole_weights_beside_it(
    pair: np.ndarray, dtype: str
) -> None:
    base = base_bytes(np.random.default_rng(1).standard_normal(pair[0].shape), dtype)
    factors = [factors_of(delta) for delta in pair]
    candidates = [at(0.5), at(0.5, wholeWeights=True), options_of("ties")]
    together = merge_factors(candidates, *factors, base=base, dtype=dtype)
    for options, merged in zip(candidates, together, strict=True):
        (alone,) = merge_factors([options], *factors, base=base, dtype=dtype)
        assert merged.content == alone.content
        assert merged.figures == alone.figures


@given(PAIRS)
def test_its_ends_are_the_deltas(pair: np.ndarray) -> None:
    assert_same_bits(interpolated(pair, 0.0), pair[0])
    assert_same_bits(interpolated(pair, 1.0), pair[1])


@given(PAIRS, PLACES)
def test_from_the_other_end_it_is_the_same(pair: np.ndarray, t: float) -> None:
    np.testing.assert_allclose(interpolated(pair, t), interpolated(pair[::-1], 1 - t), rtol=1e-5, atol=1e-4)


@given(PAIRS, PLACES, st.sampled_from([0.25, 2.0, 8.0]))
def test_it_scales_with_the_deltas(pair: np.ndarray, t: float, factor: float) -> None:
    scaled = interpolated(pair * np.float32(factor), t)
    np.testing.assert_allclose(scaled, interpolated(pair, t) * factor, rtol=1e-5, atol=1e-3)


@given(PAIRS, PLACES)
def test_balanced_deltas_keep_their_length(pair: np.ndarray, t: float) -> None:
    lengths = [float(np.linalg.norm(delta.astype(np.float64))) for delta in pair]
    assume(min(lengths) > 0)
    cosine = float((pair[0].astype(np.float64) * pair[1]).sum()) / lengths[0] / lengths[1]
    assume(abs(cosine) < LINEAR_FROM - 1e-4)
    merged = merge_matrices(*pair, at(t, balance="Tensor")).astype(np.float64)
    assert float(np.linalg.norm(merged)) == pytest.approx(sum(lengths) / 2, rel=1e-4)


def test_the_middle_of_a_right_angle() -> None:
    merged = interpolated(np.array([[[1.0, 0.0]], [[0.0, 1.0]]], np.float32), 0.5)
    np.testing.assert_allclose(merged, [[math.sqrt(0.5)] * 2], rtol=1e-6)


@given(PAIRS, PLACES)
def test_what_is_parallel_opposite_or_0_is_a_line(pair: np.ndarray, t: float) -> None:
    for other in (pair[0] * 2, -pair[0], np.zeros_like(pair[0])):
        line = (1 - t) * pair[0].astype(np.float64) + t * other
        np.testing.assert_allclose(interpolated(np.stack([pair[0], other]), t), line, rtol=1e-6, atol=1e-4)
