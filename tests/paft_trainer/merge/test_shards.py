"""Which tensors go where."""

import random

from paft_trainer.merge.shards import SourceTensor, plan_shards
from paft_trainer.safetensors_files import TensorEntry


def source(name: str, size: int, dtype: str = "BF16") -> SourceTensor:
    return SourceTensor(uri="file:///b", entry=TensorEntry(name=name, dtype=dtype, shape=(size,), start=0, size=size))


def layout(tensors: list[SourceTensor], limit: int) -> dict[str, list[str]]:
    return {
        shard.name: [tensor.entry.name for tensor in shard.tensors]
        for shard in plan_shards(tensors, max_shard_bytes=limit)
    }


def test_one_file_where_all_fits() -> None:
    assert layout([source("b", 50), source("a", 50)], 100) == {"model.safetensors": ["a", "b"]}


def test_files_are_filled_in_natural_order_and_a_large_tensor_has_its_own() -> None:
    tensors = [source(f"layers.{number}.w", 40) for number in range(12)] + [source("embed", 150)]
    random.Random(0).shuffle(tensors)
    assert layout(tensors, 170) == {
        "model-00001-of-00004.safetensors": ["embed"],
        "model-00002-of-00004.safetensors": [f"layers.{number}.w" for number in range(4)],
        "model-00003-of-00004.safetensors": [f"layers.{number}.w" for number in range(4, 8)],
        "model-00004-of-00004.safetensors": [f"layers.{number}.w" for number in range(8, 12)],
    }


def test_wide_elements_come_first_so_that_all_are_aligned() -> None:
    tensors = [source("a", 2), source("b", 8, "F32"), source("c", 3, "U8")]
    assert layout(tensors, 100) == {"model.safetensors": ["b", "a", "c"]}
