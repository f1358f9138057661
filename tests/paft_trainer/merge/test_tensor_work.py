"""One tensor: a single rounding, untouched entries bit for bit, and figures of what was done."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.merge_strategies import ALL_METHODS, PAIRS, options_with
from tests.merged_matrices import base_bytes, factors_of, merge_factors, options_of, random_factors

from paft_api.spec.merge import MergeOptions
from paft_trainer.errors import ArtifactMismatch

DTYPES = {"BF16": torch.bfloat16, "F16": torch.float16, "F32": torch.float32}
ROWS, COLUMNS = 37, 53


def special_base(dtype: str) -> bytes:
    """Random numbers, with -0.0, NaN, infinities and subnormals among them."""
    values = torch.randn(ROWS, COLUMNS, generator=torch.Generator().manual_seed(0)).to(DTYPES[dtype])
    special = [-0.0, float("nan"), float("inf"), -float("inf"), 0.0]
    values[0, :5] = torch.tensor(special, dtype=DTYPES[dtype])
    values.view(torch.uint8)[1, :4] = torch.tensor([1, 0, 0, 0])
    return values.view(torch.uint8).numpy().tobytes()


def weights(sft: float, preference: float) -> dict[str, Any]:
    return {"weights": [{"sft": sft, "preference": preference}]}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("method", "fields"),
    [
        *((method, {"density": 0.0}) for method in ("ties", "dare_ties", "dare_linear", "della", "breadcrumbs", "sce")),
        *((method, weights(0.0, 0.0)) for method in ("ties", "task_arithmetic", "dare_linear", "sft_only")),
        *((method, {"lambda": 0.0}) for method in ALL_METHODS),
    ],
)
def test_nothing_kept_or_no_weight_leaves_every_bit_of_the_base(
    dtype: str, method: str, fields: dict[str, Any]
) -> None:
    pair = random_factors(3, ROWS, COLUMNS, seed=1), random_factors(9, ROWS, COLUMNS, seed=2)
    base = special_base(dtype)
    (merged,) = merge_factors([options_of(method, **fields)], *pair, base=base, dtype=dtype)
    assert merged.content == base
    assert merged.figures.outcome.zero == merged.figures.outcome.unchanged == ROWS * COLUMNS


BETWEEN_DELTAS = (
    st.sampled_from(ALL_METHODS)
    .flatmap(options_with)
    .filter(lambda options: not options.resolved().get("wholeWeights", False))
)


@given(BETWEEN_DELTAS, st.sampled_from([*DTYPES]), st.integers(1, 60), PAIRS)
def test_the_merged_delta_is_rounded_once_whatever_the_method(
    options: MergeOptions, dtype: str, chunk: int, pair: np.ndarray
) -> None:
    """With a base of 0 in fp32 a merge shows its delta; added to any base by torch, it is what a merge writes."""
    factors = [factors_of(delta) for delta in pair]
    (delta,) = merge_factors([options], *factors)
    values = np.random.default_rng(0).standard_normal(pair[0].shape)
    base = base_bytes(values, dtype)
    (merged,) = merge_factors([options], *factors, base=base, dtype=dtype, chunk_elements=chunk)
    wide = torch.from_numpy(values.astype(np.float32)).to(DTYPES[dtype]).float()
    wanted = (wide + torch.from_numpy(delta.values.copy())).to(DTYPES[dtype])
    assert merged.content == wanted.view(torch.uint8).numpy().tobytes()


@pytest.mark.parametrize("method", ["linear", "ties", "dare_ties"])
def test_entries_without_a_delta_keep_their_bits_beside_others_that_change(method: str) -> None:
    delta = np.zeros((ROWS, COLUMNS), np.float32)
    delta[10:] = 1.0
    base = special_base("F16")
    (merged,) = merge_factors(
        [options_of(method, **({} if method == "linear" else {"density": 0.9}))],
        factors_of(delta),
        None,
        base=base,
        dtype="F16",
    )
    assert merged.content[: 20 * COLUMNS] == base[: 20 * COLUMNS]
    assert merged.content[20 * COLUMNS :] != base[20 * COLUMNS :]


@pytest.mark.parametrize(("dtype", "largest"), [("F16", 65504.0), ("BF16", 3.38e38), ("F32", 3.4e38)])
@pytest.mark.parametrize("method", ["task_arithmetic", "ties"])
def test_a_weight_beyond_the_dtypes_range_is_refused(dtype: str, largest: float, method: str) -> None:
    delta = np.zeros((2, 3), np.float32)
    delta[1, 2] = largest / 16
    base = base_bytes(np.array([[0.0, 1.0, 2.0], [3.0, 4.0, -largest]]), dtype)
    (merged,) = merge_factors([options_of(method)], factors_of(delta), None, base=base, dtype=dtype)
    assert merged.figures.outcome.zero == 5
    with pytest.raises(ArtifactMismatch) as caught:
        merge_factors([options_of(method)], factors_of(-delta), None, base=base, dtype=dtype)
    assert caught.value.message == (
        f"model.layers.0.mlp.up_proj.weight: base and delta together leave the range of {dtype}"
    )
    remedy = "Lower merge.weights, or train the adapters again: their factors are far too large."
    assert caught.value.remedy == remedy


def test_a_base_that_is_no_number_stays_what_it_is() -> None:
    base = base_bytes(np.array([[np.nan, np.inf, 1.0]]), "BF16")
    (merged,) = merge_factors(
        [options_of("linear")], factors_of(np.ones((1, 3), np.float32)), None, base=base, dtype="BF16"
    )
    values = torch.frombuffer(bytearray(merged.content), dtype=torch.bfloat16).float()
    assert np.array_equal(values.numpy(), np.array([np.nan, np.inf, 1.5], np.float32), equal_nan=True)
