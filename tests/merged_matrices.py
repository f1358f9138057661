"""Merges of matrices by the real code, without files: any two deltas, any base, any way to cut them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from paft_api.spec.merge import MergeOptions
from paft_trainer.adapters import Adapter, Factors
from paft_trainer.checkpoint_files import CheckpointFiles
from paft_trainer.merge.arithmetic import Arithmetic
from paft_trainer.merge.cpu_arithmetic import CpuArithmetic
from paft_trainer.merge.inputs import BaseTensors, MergeInputs
from paft_trainer.merge.interference import TensorFigures
from paft_trainer.merge.method import TensorArms
from paft_trainer.merge.methods import method_of
from paft_trainer.merge.rows import CHUNK_ELEMENTS, Rows
from paft_trainer.merge.shards import SourceTensor
from paft_trainer.merge.tensor_arms import arms_of_tensors
from paft_trainer.merge.tensor_work import DTYPES, TensorWork
from paft_trainer.safetensors_files import TensorEntry

MODULE = "model.layers.0.mlp.up_proj"
Matrix = np.ndarray


@dataclass(frozen=True, kw_only=True)
class MergedMatrix:
    """`content`: the merged bytes. `figures`: what the report says of them."""

    content: bytes
    figures: TensorFigures

    @property
    def values(self) -> Matrix:
        """fp32 [rows, columns] of a merge with an F32 base; with none, the merged delta itself."""
        return np.frombuffer(self.content, np.float32).reshape(-1, self.columns)

    columns: int


def options_of(method: str, **fields: Any) -> MergeOptions:
    """Options by their names in documents."""
    return MergeOptions.model_validate_json(json.dumps({"method": method} | fields))


def factors_of(delta: Matrix) -> Factors:
    """Factors of which the product is exactly this delta: A is the unit matrix."""
    return Factors(a=torch.eye(delta.shape[1]), b=torch.from_numpy(np.ascontiguousarray(delta, np.float32)), scale=1.0)


def random_factors(rank: int, rows: int, columns: int, *, seed: int = 0, std: float = 0.1) -> Factors:
    """Factors as training leaves them."""
    generator = torch.Generator().manual_seed(1000 * seed + rank)
    return Factors(
        a=torch.randn(rank, columns, generator=generator) * std,
        b=torch.randn(rows, rank, generator=generator) * std,
        scale=2.0 / 3.0,
    )


def inputs_of(sft: Mapping[str, Factors], preference: Mapping[str, Factors], *, dtype: str = "F32") -> MergeInputs:
    """What a merge reads, with these factors by module and a base that has a weight for each of them."""
    shapes = {module: factors.shape for arm in (sft, preference) for module, factors in arm.items()}
    tensors = tuple(
        SourceTensor(
            uri="file:///base/model.safetensors",
            entry=TensorEntry(
                name=f"{module}.weight", dtype=dtype, shape=shape, start=0, size=shape[0] * shape[1] * DTYPES[dtype]
            ),
        )
        for module, shape in shapes.items()
    )
    files = CheckpointFiles(weights=("model.safetensors",), others=("config.json",))
    adapters = {
        name: Adapter(uri=f"file:///{name}/", digest="", modules=dict(modules), manifest=None)
        for name, modules in (("sft", sft), ("preference", preference))
    }
    return MergeInputs(
        base=BaseTensors(files=files, tensors=tensors, tied=False),
        base_digest=None,
        listing_digest="",
        adapters=adapters,
    )


def arms_of(
    options: MergeOptions, sft: Factors | None, preference: Factors | None, *, module: str = MODULE, dtype: str = "F32"
) -> TensorArms:
    """How a merge wants the deltas of one module; None where an arm does not adapt it."""
    both = [{} if factors is None else {module: factors} for factors in (sft, preference)]
    inputs = inputs_of(*both, dtype=dtype)
    return arms_of_tensors(options, inputs)(inputs.base.tensors[0])


def merge_factors(
    candidates: Sequence[MergeOptions],
    sft: Factors | None,
    preference: Factors | None,
    *,
    base: bytes | None = None,
    dtype: str = "F32",
    chunk_elements: int = CHUNK_ELEMENTS,
    module: str = MODULE,
    arithmetic: Arithmetic | None = None,
) -> list[MergedMatrix]:
    """One tensor merged in as many ways as there are candidates, in one pass. Without `base` it is 0."""
    members = [
        (method_of(options), arms_of(options, sft, preference, module=module, dtype=dtype)) for options in candidates
    ]
    rows = members[0][1].rows
    row_bytes = rows.columns * DTYPES[dtype]
    content = bytes(rows.height * row_bytes) if base is None else base
    work = TensorWork(members, [{} for _ in members], dtype=dtype, arithmetic=arithmetic or CpuArithmetic())
    chunks = list(rows.cut(chunk_elements))

    def of_chunk(chunk: Rows) -> bytes:
        return content[chunk.start * row_bytes : chunk.stop * row_bytes]

    for look in work.looks:
        for chunk in chunks:
            work.look(look, chunk, (lambda chunk=chunk: of_chunk(chunk)) if work.needs_base_to_look else None)
    parts = [work.merge(chunk, of_chunk(chunk)) for chunk in chunks]
    return [
        MergedMatrix(
            content=b"".join(bytes(part.contents[index]) for part in parts),
            figures=work.figures(index, parts),
            columns=rows.columns,
        )
        for index in range(len(members))
    ]


def merge_matrices(sft: Matrix, preference: Matrix, options: MergeOptions, **how: Any) -> Matrix:
    """The merged delta of two deltas, fp32. `how`: as in merge_factors."""
    (merged,) = merge_factors([options], factors_of(sft), factors_of(preference), **how)
    return merged.values


def base_bytes(values: Matrix, dtype: str) -> bytes:
    """A base of these values."""
    torch_dtype = {"BF16": torch.bfloat16, "F16": torch.float16, "F32": torch.float32}[dtype]
    tensor = torch.from_numpy(np.ascontiguousarray(values, np.float32)).to(torch_dtype)
    return tensor.view(torch.uint8).numpy().tobytes()
