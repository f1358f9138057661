"""The arithmetic of a torch device against the kernels': bit for bit, sums within float64's last bits."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.merges import folder_uri, load_checkpoint, merge_run_spec, run_merge
from tests.tiny_models import build_adapter, build_checkpoint

from paft_trainer.adapters import Factors
from paft_trainer.merge.arithmetic import LOWER_BINS, UPPER_BINS, Election
from paft_trainer.merge.available_arithmetic import available_arithmetic
from paft_trainer.merge.cpu_arithmetic import CpuArithmetic
from paft_trainer.merge.masks import mask_key
from paft_trainer.merge.rows import Rows
from paft_trainer.merge.torch_arithmetic import TorchArithmetic

CPU = CpuArithmetic()
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
TORCH = TorchArithmetic(DEVICE)
DTYPES = ("BF16", "F16", "F32")


def deltas(seed: int, rows: int = 37, columns: int = 53) -> np.ndarray:
    """Entries of many magnitudes, some equal, some zero, of either sign, some subnormal."""
    random = np.random.default_rng(seed)
    values = random.standard_normal((rows, columns)) * 10.0 ** random.integers(-12, 3, (rows, columns))
    values[random.random((rows, columns)) < 0.2] = 0.0
    values[random.random((rows, columns)) < 0.1] = -0.0
    values[random.random((rows, columns)) < 0.1] = 0.25
    values[0, :5] = [1e-40, -1e-44, 3e38, -3e38, -0.25]
    return values.astype(np.float32)


def there(array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(array.copy()).to(DEVICE)


def assert_same_bits(ours: np.ndarray, theirs: torch.Tensor) -> None:
    """Of which 0 and -0 are the same number, and no bit of a checkpoint depends on which of them a delta is."""
    found = theirs.cpu().numpy() + np.float32(0)
    assert found.dtype == np.float32
    assert np.array_equal((ours + np.float32(0)).view(np.uint32), found.view(np.uint32))


FIRST, SECOND = deltas(1), deltas(2)
KEY = mask_key(seed=7, arm="sft", name="model.layers.0.mlp.up_proj.weight")

CALLS: dict[str, Callable[[Any, Any, Any], Any]] = {
    "band": lambda a, x, y: a.keep_band(x, factor=0.3, low=1e-7, high=0.9),
    "band at a magnitude": lambda a, x, y: a.keep_band(x, factor=1.0, low=0.25, high=0.25),
    "drawn": lambda a, x, y: a.keep_drawn(x, key=KEY, start=2**40 + 12345, density=0.37),
    "drawn at 0": lambda a, x, y: a.keep_drawn(x, key=KEY, start=0, density=0.0),
    "drawn at 1": lambda a, x, y: a.keep_drawn(x, key=2**64 - 1, start=0, density=1.0),
    "by rank": lambda a, x, y: a.keep_drawn_by_rank(x, key=KEY, start=977, density=0.5, epsilon=0.3, rescales=True),
    "by rank as they are": lambda a, x, y: a.keep_drawn_by_rank(
        x, key=KEY, start=0, density=0.3, epsilon=0.1, rescales=False
    ),
    "sum": lambda a, x, y: a.weighted_sum(x, y, (0.1, -1.7)),
    "distance": lambda a, x, y: a.distance(x, y),
    "far, first": lambda a, x, y: a.keep_far(x, y, low=1e-5)[0],
    "far, second": lambda a, x, y: a.keep_far(x, y, low=1e-5)[1],
    "elected mean": lambda a, x, y: a.elect(x, y, Election(votes=(1.0, 0.7), factors=(1.0, 0.7), masses=(1.0, 0.7))),
    "elected sum": lambda a, x, y: a.elect(x, y, Election(votes=(0.1, -0.3), factors=(0.3, 1.1), masses=None)),
    "balance": lambda a, x, y: a.elect(
        x, -x, Election(votes=(1.0, 1.0), factors=(0.3, 0.1), masses=(0.3, -0.3), balance_is_positive=True)
    ),
}


@pytest.mark.parametrize("name", CALLS)
def test_entries_have_the_same_bits(name: str) -> None:
    ours = CALLS[name](CPU, FIRST, SECOND)
    assert_same_bits(ours, CALLS[name](TORCH, there(FIRST), there(SECOND)))


def test_equal_magnitudes_are_ranked_by_their_index() -> None:
    level = np.where(np.random.default_rng(3).random((3, 2000)) < 0.5, 0.5, -0.5).astype(np.float32)
    options: dict[str, Any] = {"key": KEY, "start": 5, "density": 0.5, "epsilon": 0.5, "rescales": True}
    assert_same_bits(CPU.keep_drawn_by_rank(level, **options), TORCH.keep_drawn_by_rank(there(level), **options))


@pytest.mark.parametrize("rank", [1, 7, 8, 19])
def test_deltas_are_the_same_products_and_sums(rank: int) -> None:
    torch.manual_seed(rank)
    factors = Factors(a=torch.randn(rank, 41), b=torch.randn(30, rank), scale=0.1)
    factors.b[4] = 0
    rows = Rows(start=3, stop=28, columns=41)
    assert_same_bits(CPU.delta(factors, rows), TORCH.delta(factors, rows))
    assert not TORCH.delta(None, rows).any()
    assert TORCH.delta(None, rows).shape == (25, 41)


def test_counts_and_sums() -> None:
    for call in ("count_upper_bits", "count_lower_bits"):
        bins, more = (UPPER_BINS, {}) if call == "count_upper_bits" else (LOWER_BINS, {"bin_": 0x3E80})
        ours, theirs = np.ones(bins, np.int64), np.ones(bins, np.int64)
        getattr(CPU, call)(FIRST, ours, factor=1.0, **more)
        getattr(TORCH, call)(there(FIRST), theirs, factor=1.0, **more)
        assert ours.sum() > bins
        assert np.array_equal(ours, theirs)
    assert CPU.meet(FIRST, SECOND) == TORCH.meet(there(FIRST), there(SECOND))
    assert TORCH.magnitude_sums(there(FIRST)) == pytest.approx(CPU.magnitude_sums(FIRST), rel=1e-14)
    found = TORCH.product_sums(there(FIRST), there(SECOND))
    largest = max(map(abs, CPU.product_sums(FIRST, SECOND)))
    assert found == pytest.approx(CPU.product_sums(FIRST, SECOND), rel=1e-12, abs=1e-14 * largest)


def bases(dtype: str) -> Iterator[np.ndarray]:
    """All numbers of 16 bits, NaN and infinite ones too; of 32 bits many."""
    if dtype == "F32":
        yield np.random.default_rng(4).integers(0, 2**32, 65536, np.uint32)
    else:
        yield np.arange(65536, dtype=np.uint16)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [0.0, 1e-30, 1e-3, 0.7, 1e5])
def test_bases_take_deltas_bit_for_bit(dtype: str, size: float) -> None:
    rows = Rows(start=0, stop=256, columns=256)
    for base in bases(dtype):
        delta = (np.random.default_rng(5).standard_normal((256, 256)) * size).astype(np.float32)
        delta[::3] = 0
        ours, theirs = bytearray(base.nbytes), bytearray(base.nbytes)
        told = CPU.add(base.tobytes(), dtype, delta, memoryview(ours))
        assert told == TORCH.add(base.tobytes(), dtype, there(delta), memoryview(theirs))
        assert ours == theirs
        decoded = TORCH.decode(base.tobytes(), dtype, rows).cpu().numpy()
        expected = CPU.decode(base.tobytes(), dtype, rows)
        assert np.array_equal(decoded, expected, equal_nan=True)


@pytest.mark.parametrize(
    "method", ["linear", "ties", "dare_linear", "dare_ties", "della", "sce", "slerp", "breadcrumbs"]
)
def test_a_merge_by_torch_has_the_same_bytes(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    root = tmp_path_factory.getbasetemp() / "torch-merge"
    if not root.exists():
        base = build_checkpoint(root / "base", dtype=torch.bfloat16)
        build_adapter(root / "sft", base, seed=1)
        build_adapter(root / "preference", base, seed=2, r=3)
    places = {name: folder_uri(root / name) for name in ("base", "sft", "preference")}
    for out, arithmetic in (("ours", CPU), ("theirs", TORCH)):
        monkeypatch.setattr(
            "paft_trainer.merge.forms.full.available_arithmetic", lambda arithmetic=arithmetic: arithmetic
        )
        output, artifacts = folder_uri(tmp_path / out), folder_uri(tmp_path / "artifacts")
        run_merge(merge_run_spec(**places, output=output, artifacts=artifacts, method=method))
    ours, theirs = load_checkpoint(tmp_path / "ours"), load_checkpoint(tmp_path / "theirs")
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in ours.items())


def test_a_machine_without_a_gpu_has_the_kernels() -> None:
    assert isinstance(available_arithmetic(), TorchArithmetic if torch.cuda.is_available() else CpuArithmetic)
