"""One rounding at the end, to nearest even, as torch converts; bits without a delta stay as they are."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as numpy_strategies

from paft_trainer.merge.arithmetic import Added
from paft_trainer.merge.cpu_arithmetic import CpuArithmetic
from paft_trainer.merge.kernels import rounding
from paft_trainer.merge.rows import Rows

DTYPES = {"BF16": torch.bfloat16, "F16": torch.float16, "F32": torch.float32}
HALVES = ("BF16", "F16")
ALL_BITS = np.arange(1 << 16, dtype=np.uint16)
DELTAS = [2.0**exponent * sign for exponent in (-149, -130, -24, -11, -8, -1, 0, 7, 15, 100) for sign in (1, -1)]
FP32 = st.integers(0, 2**32 - 1).map(lambda bits: np.uint32(bits).view(np.float32))


def as_torch(bits: np.ndarray, dtype: str) -> torch.Tensor:
    return torch.from_numpy(bits.view(np.int16 if bits.dtype == np.uint16 else np.int32).copy()).view(DTYPES[dtype])


def added(bits: np.ndarray, delta: np.ndarray, dtype: str) -> tuple[np.ndarray, Added]:
    merged = np.empty_like(bits)
    found = CpuArithmetic().add(bits.tobytes(), dtype, delta.reshape(1, -1), merged.data.cast("B"))
    return merged, found


def by_torch(bits: np.ndarray, delta: np.ndarray, dtype: str) -> np.ndarray:
    total = (as_torch(bits, dtype).float() + torch.from_numpy(delta.copy())).to(DTYPES[dtype])
    return total.view(torch.int16 if bits.dtype == np.uint16 else torch.int32).numpy().view(bits.dtype)


def assert_as_torch(bits: np.ndarray, delta: np.ndarray, dtype: str) -> None:
    """Equal bits; NaN may be any NaN."""
    ours, theirs = added(bits, delta, dtype)[0], by_torch(bits, delta, dtype)
    both_nan = torch.isnan(as_torch(ours, dtype)).numpy() & torch.isnan(as_torch(theirs, dtype)).numpy()
    keeps = delta == 0
    assert (ours == theirs)[~both_nan & ~keeps].all()
    assert (ours == bits)[keeps].all()


def middle_deltas(bits: np.ndarray, dtype: str) -> list[np.ndarray]:
    """Deltas that lead halfway to the number of the next bits, and by one fp32 number to either side of that."""
    values = as_torch(bits, dtype).float().numpy()
    following = as_torch(bits + np.uint16(1), dtype).float().numpy()
    with np.errstate(invalid="ignore", over="ignore"):
        half = (following - values) / np.float32(2)
    half = np.where(np.isfinite(half), half, np.float32(1))
    return [half, np.nextafter(half, np.float32(np.inf)), np.nextafter(half, np.float32(-np.inf)), -half, half * 3]


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("delta", DELTAS)
def test_every_number_of_the_dtype_takes_a_delta_as_torch_does(dtype: str, delta: float) -> None:
    assert_as_torch(ALL_BITS, np.full(ALL_BITS.shape, delta, np.float32), dtype)


@pytest.mark.parametrize("dtype", HALVES)
def test_every_number_of_the_dtype_halfway_to_its_neighbour(dtype: str) -> None:
    for delta in middle_deltas(ALL_BITS, dtype):
        assert_as_torch(ALL_BITS, delta, dtype)


@pytest.mark.parametrize("dtype", HALVES)
def test_every_number_of_the_dtype_with_random_deltas(dtype: str) -> None:
    generator = np.random.default_rng(0)
    for scale in (1e-8, 1e-4, 1e-2, 1.0, 1e4):
        assert_as_torch(ALL_BITS, (generator.standard_normal(1 << 16) * scale).astype(np.float32), dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@given(data=st.data())
def test_any_fp32_delta_whatever_its_bits(dtype: str, data: st.DataObject) -> None:
    wide = dtype == "F32"
    bits_of = numpy_strategies.arrays(np.uint32 if wide else np.uint16, 50)
    delta = data.draw(numpy_strategies.arrays(np.uint32, 50)).view(np.float32)
    assert_as_torch(data.draw(bits_of), delta, dtype)


@pytest.mark.parametrize("dtype", HALVES)
def test_every_number_is_decoded_as_torch_does(dtype: str) -> None:
    decoded = CpuArithmetic().decode(ALL_BITS.tobytes(), dtype, Rows(start=0, stop=1, columns=1 << 16))
    assert np.array_equal(decoded[0].view(np.uint32), as_torch(ALL_BITS, dtype).float().numpy().view(np.uint32))


@pytest.mark.parametrize("dtype", HALVES)
def test_without_a_delta_every_number_keeps_its_bits(dtype: str) -> None:
    for zero in (0.0, -0.0):
        assert np.array_equal(added(ALL_BITS, np.full(1 << 16, zero, np.float32), dtype)[0], ALL_BITS)


@given(st.lists(FP32, min_size=1, max_size=50))
def test_fp16_of_any_fp32_number_is_torchs(values: list[np.float32]) -> None:
    array = np.array(values, np.float32)
    theirs = torch.from_numpy(array).half().view(torch.int16).numpy().view(np.uint16)
    for value, wanted in zip(array, theirs, strict=True):
        ours = int(rounding.fp16_bits(value))
        assert ours == int(wanted) or (np.isnan(value) and (ours & 0x7FFF) > 0x7C00)


@pytest.mark.parametrize(
    ("dtype", "base", "delta", "figures"),
    [
        ("F16", 65504.0, 15.0, (0, 1, 0)),  # below half of the last step
        ("F16", 65504.0, 16.0, (0, 0, 1)),
        ("F16", float("inf"), 1.0, (0, 1, 0)),  # the base was there already
        ("BF16", 3.3895313892515355e38, 1e36, (0, 0, 1)),
        ("F32", 3.4028234663852886e38, 1e32, (0, 0, 1)),
        ("F32", 1.0, 1e-9, (0, 1, 0)),
        ("F16", -0.0, 0.0, (1, 1, 0)),
        ("BF16", 1.0, float("nan"), (0, 0, 1)),
    ],
)
def test_figures_of_one_entry(dtype: str, base: float, delta: float, figures: tuple[int, int, int]) -> None:
    content = torch.tensor([base], dtype=torch.float64).to(DTYPES[dtype]).view(torch.uint8).numpy()
    bits = content.view(np.uint32 if dtype == "F32" else np.uint16)
    _, found = added(bits, np.array([delta], np.float32), dtype)
    assert (found.zero, found.unchanged, found.not_finite) == figures


@pytest.mark.parametrize("dtype", DTYPES)
def test_figures_are_counts(dtype: str) -> None:
    generator = np.random.default_rng(0)
    bits = generator.integers(0, 1 << (32 if dtype == "F32" else 16), 5000).astype(
        np.uint32 if dtype == "F32" else np.uint16
    )
    delta = (generator.standard_normal(5000) * generator.choice([0.0, 1e-6, 1.0, 1e5], 5000)).astype(np.float32)
    merged, found = added(bits, delta, dtype)
    left = torch.isfinite(as_torch(bits, dtype)) & ~torch.isfinite(as_torch(merged, dtype))
    assert found.zero == int((delta == 0).sum())
    assert found.unchanged == int((merged == bits).sum())
    assert found.not_finite == int(left.sum())
