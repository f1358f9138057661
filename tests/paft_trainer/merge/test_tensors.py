"""One tensor: a single rounding, untouched entries bit for bit, the same bytes for any chunk."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from paft_api.spec.merge import MergeMethod, MergeSpec
from paft_trainer.adapters import Factors
from paft_trainer.errors import ArtifactMismatch
from paft_trainer.merge.tensors import ArmDelta, add_delta, merged_tensor
from paft_trainer.safetensors_files import TensorEntry, read_header
from paft_trainer.storage.file_store import FileStore, uri_of

ROWS, COLUMNS = 37, 53


def stored(folder: Path, tensor: torch.Tensor) -> tuple[str, TensorEntry]:
    path = folder / "base.safetensors"
    save_file({"w": tensor}, path)
    uri = uri_of(path)
    return uri, read_header(FileStore(), uri).entries[0]


def arms(*, weights: tuple[float, float] = (1.0, 0.5), std: float = 0.1) -> list[ArmDelta]:
    generator = torch.Generator().manual_seed(3)
    return [
        ArmDelta(
            arm=arm,
            factors=Factors(
                a=torch.randn(rank, COLUMNS, generator=generator) * std,
                b=torch.randn(ROWS, rank, generator=generator) * std,
                scale=0.7,
            ),
            weight=weight,
        )
        for arm, rank, weight in zip(("sft", "preference"), (4, 9), weights, strict=True)
    ]


def merge_spec(method: str, density: float | None = None) -> MergeSpec:
    return MergeSpec.model_validate(
        {"method": method, "density": density, "output": {"uri": "file:///nowhere/"}}, strict=False
    )


@pytest.mark.parametrize("method", list(MergeMethod))
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_the_chunk_does_not_change_a_bit(tmp_path: Path, method: str, dtype: torch.dtype) -> None:
    uri, entry = stored(tmp_path, torch.randn(ROWS, COLUMNS).to(dtype))
    merged = {
        b"".join(merged_tensor(FileStore(), uri, entry, arms(), merge_spec(method), chunk_elements=chunk_elements))
        for chunk_elements in (1, 2 * COLUMNS, 10 * COLUMNS, ROWS * COLUMNS)
    }
    assert len(merged) == 1
    assert merged != {FileStore().read_range(uri, entry.start, entry.size)}


def test_rounding_is_to_nearest_even_and_happens_once() -> None:
    base = torch.tensor([1.0, 1.0, 1.0, 1.0], dtype=torch.bfloat16)
    step = 2.0**-7  # between two bf16 numbers from 1 to 2
    delta = torch.tensor([step / 2, step / 2 + 2.0**-20, 1.5 * step, 0.0])
    assert add_delta(base, delta).float().tolist() == [1.0, 1.0 + step, 1.0 + 2 * step, 1.0]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_entries_without_a_delta_keep_their_bits(dtype: torch.dtype) -> None:
    base = torch.tensor([-0.0, 0.0, float("nan"), float("inf"), 1.0], dtype=dtype)
    merged = add_delta(base, torch.tensor([0.0, -0.0, 0.0, 0.0, 0.0]))
    assert torch.equal(merged.view(torch.uint8), base.view(torch.uint8))


@pytest.mark.parametrize(
    ("method", "density", "weights"),
    [
        ("ties", 0.0, (1.0, 1.0)),
        ("dare_ties", 0.0, (1.0, 1.0)),
        ("dare_linear", 0.0, (1.0, 1.0)),
        ("ties", 0.5, (0.0, 0.0)),
        ("task_arithmetic", None, (0.0, 0.0)),
    ],
)
def test_nothing_kept_or_no_weight_leaves_the_base(
    tmp_path: Path, method: str, density: float | None, weights: tuple[float, float]
) -> None:
    base = torch.randn(ROWS, COLUMNS).bfloat16()
    base[0, 0] = -0.0
    uri, entry = stored(tmp_path, base)
    merged = merged_tensor(FileStore(), uri, entry, arms(weights=weights), merge_spec(method, density))
    assert b"".join(merged) == FileStore().read_range(uri, entry.start, entry.size)


@pytest.mark.parametrize(("method", "without"), [("dare_ties", "ties"), ("dare_linear", "task_arithmetic")])
def test_density_1_drops_nothing(tmp_path: Path, method: str, without: str) -> None:
    uri, entry = stored(tmp_path, torch.randn(ROWS, COLUMNS))
    density = 1.0 if without == "ties" else None
    dropped = b"".join(merged_tensor(FileStore(), uri, entry, arms(), merge_spec(method, 1.0)))
    assert dropped == b"".join(merged_tensor(FileStore(), uri, entry, arms(), merge_spec(without, density)))


def test_density_1_trims_nothing(tmp_path: Path) -> None:
    uri, entry = stored(tmp_path, torch.zeros(ROWS, COLUMNS))
    alone = [arms()[0], ArmDelta(arm="preference", factors=None, weight=1.0)]
    ties = b"".join(merged_tensor(FileStore(), uri, entry, alone, merge_spec("ties", 1.0)))
    summed = b"".join(merged_tensor(FileStore(), uri, entry, alone, merge_spec("task_arithmetic")))
    assert ties == summed


def test_density_is_the_share_of_each_arm_that_is_kept(tmp_path: Path) -> None:
    uri, entry = stored(tmp_path, torch.zeros(ROWS, COLUMNS))
    alone = [arms()[0], ArmDelta(arm="preference", factors=None, weight=1.0)]
    merged = bytearray(b"".join(merged_tensor(FileStore(), uri, entry, alone, merge_spec("ties", 0.25))))
    assert int(torch.frombuffer(merged, dtype=torch.float32).count_nonzero()) == int(0.25 * ROWS * COLUMNS)


def test_a_weight_beyond_the_dtypes_range_is_refused(tmp_path: Path) -> None:
    uri, entry = stored(tmp_path, torch.zeros(ROWS, COLUMNS).half())
    with pytest.raises(ArtifactMismatch) as caught:
        list(merged_tensor(FileStore(), uri, entry, arms(std=300.0), merge_spec("task_arithmetic")))
    assert caught.value.message == "w: base and delta together leave the range of F16"
    assert caught.value.remedy == ("Lower merge.weights, or train the adapters again: their factors are far too large.")
