"""Factors of a given rank against the singular value decomposition, and the kernels that they are made with."""

import numpy as np
import pytest
import torch

from paft_api.spec.merge import MergeMethod, MergeOptions
from paft_trainer.adapters import Factors
from paft_trainer.merge.cpu_arithmetic import CpuArithmetic
from paft_trainer.merge.delta_pass import DeltaPasses
from paft_trainer.merge.kernels import subspaces
from paft_trainer.merge.lengths import lengths_of
from paft_trainer.merge.low_rank import closest_factors, squared_residual
from paft_trainer.merge.method import TensorArms
from paft_trainer.merge.methods import method_of
from paft_trainer.merge.pipeline import Pipeline
from paft_trainer.merge.rows import Rows
from paft_trainer.merge.shards import SourceTensor
from paft_trainer.safetensors_files import TensorEntry


def passes_of(pipeline: Pipeline, options: MergeOptions, *, height: int, columns: int, r: int) -> DeltaPasses:
    """Two arms whose directions differ in length by a factor of 30."""
    torch.manual_seed(0)
    level = torch.logspace(0, -1.5, r)
    first, second = (Factors(a=torch.randn(r, columns), b=torch.randn(height, r) * level, scale=0.1) for _ in range(2))
    arms = TensorArms(
        name="model.layers.0.mlp.up_proj.weight",
        rows=Rows(start=0, stop=height, columns=columns),
        factors=(first, second),
        weights=(1.0, 0.5),
        balance=(1.0, 1.0),
        lengths=lengths_of(first, second),
    )
    entry = TensorEntry(name=arms.name, dtype="BF16", shape=(height, columns), start=0, size=2 * height * columns)
    return DeltaPasses(
        pipeline, method_of(options), arms, {}, SourceTensor(uri="file:///base", entry=entry), CpuArithmetic()
    )


def whole(passes: DeltaPasses) -> np.ndarray:
    parts = passes.each(lambda blocks: np.concatenate([delta for _, delta in blocks]))
    return np.concatenate(list(parts)).astype(np.float64)


@pytest.mark.parametrize("shape", [(300, 500), (500, 300), (40, 7), (3, 900)])
@pytest.mark.parametrize("method", [MergeMethod.TIES, MergeMethod.DARE_TIES])
def test_hardly_farther_from_the_delta_than_the_closest(
    monkeypatch: pytest.MonkeyPatch, method: MergeMethod, shape: tuple[int, int]
) -> None:
    monkeypatch.setattr("paft_trainer.merge.delta_pass.CHUNK_ELEMENTS", 20_000)
    with Pipeline(workers=2, ahead=2) as pipeline:
        passes = passes_of(pipeline, MergeOptions(method=method), height=shape[0], columns=shape[1], r=6)
        delta = whole(passes)
        rank = min(8, *shape)
        factors = closest_factors(passes, rank)
        assert (factors.a.shape, factors.b.shape, factors.scale) == ((rank, shape[1]), (shape[0], rank), 1.0)
        left = np.linalg.norm(delta - factors.b.double().numpy() @ factors.a.double().numpy())
        best = np.sqrt((np.linalg.svd(delta, compute_uv=False)[rank:] ** 2).sum())
        assert left <= 1.01 * best + 1e-6 * np.linalg.norm(delta)
        assert np.sqrt(squared_residual(passes, factors)) == pytest.approx(left, rel=1e-3, abs=1e-6)


def test_directions_beyond_the_deltas_rank_are_zero() -> None:
    with Pipeline(workers=1, ahead=2) as pipeline:
        options = MergeOptions(method=MergeMethod.DARE_LINEAR, density=1.0)
        passes = passes_of(pipeline, options, height=80, columns=60, r=3)
        factors = closest_factors(passes, 20)
        delta = whole(passes)
        product = factors.b.double().numpy() @ factors.a.double().numpy()
        assert np.linalg.norm(delta - product) < 1e-6 * np.linalg.norm(delta)
        assert np.linalg.norm(factors.b[:, 6:].numpy()) < 1e-3 * np.linalg.norm(factors.b.numpy())


def test_products_are_numpys() -> None:
    random = np.random.default_rng(1)
    for rows, columns, width in ((4, 64, 8), (7, 131, 18), (1, 3, 2), (9, 65, 5)):
        delta = random.standard_normal((rows, columns)).astype(np.float32)
        directions = random.standard_normal((columns, width))
        images, back = np.empty((rows, width)), np.ones((columns, width))
        subspaces.project(delta, directions, images)
        assert images == pytest.approx(delta.astype(np.float64) @ directions)
        subspaces.add_back_projection(delta, images, back)
        assert back == pytest.approx(1 + delta.astype(np.float64).T @ images)


def test_dependent_rows_vanish_and_the_others_become_orthonormal() -> None:
    random = np.random.default_rng(2)
    rows = random.standard_normal((6, 40)) * np.logspace(0, -9, 6)[:, None]
    rows = np.concatenate([rows, rows[:2] - 3 * rows[1:3], np.zeros((1, 40))])
    subspaces.orthonormalize(rows)
    expected = np.diag([1.0] * 6 + [0.0] * 3)
    assert rows @ rows.T == pytest.approx(expected, abs=1e-12)


def test_eigenvectors_are_lapacks() -> None:
    random = np.random.default_rng(3)
    root = random.standard_normal((30, 20)) * np.logspace(0, -6, 20)
    matrix = root.T @ root
    values, vectors = matrix.copy(), np.empty((20, 20))
    subspaces.diagonalize(values, vectors)
    assert vectors.T @ vectors == pytest.approx(np.eye(20), abs=1e-12)
    assert np.sort(np.diag(values)) == pytest.approx(np.linalg.eigvalsh(matrix), rel=1e-6, abs=1e-14)
    assert vectors @ np.diag(np.diag(values)) @ vectors.T == pytest.approx(matrix, abs=1e-12)
