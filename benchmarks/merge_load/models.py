"""`python -m benchmarks.merge_load.models SIZE FOLDER`: a random base and two adapters, made without a model.

Weights are normal with a standard deviation of 0.02, as Llama's are at first; deltas of 5e-4, as after a short
fine-tuning. Half of the SFT adapter's B is exactly 0, in whole rows and in single entries, as an L1 penalty leaves it.
"""

import json
import shutil
import sys
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np
from benchmarks.merge_load.shapes import BFLOAT16_BYTES, RANK, SIZES, START_UP, ModelShape
from safetensors.numpy import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from paft_api.digests import digest_of
from paft_trainer.safetensors_files import encode_header

VERSION = 1
"""To be raised whenever other bytes are written for the same shape."""
SHARD_BYTES = 500_000_000
CHUNK_ELEMENTS = 4 * 1024 * 1024
WEIGHT_STD = 0.02
ALPHA = 2 * RANK
A_STD, B_STD = 0.02, 3.125e-3
"""ΔW has a standard deviation of alpha / RANK · √RANK · A_STD · B_STD = 5e-4."""
ZERO_ROWS, ZERO_ENTRIES = 0.3, 0.3
"""Of the SFT adapter's B: 0.3 + 0.7 · 0.3 = 51 % zeros."""
SHAPES = SIZES | {"start-up": START_UP}


def prepare_models(size: str, state: Path) -> Path:
    """The folder with `base`, `sft` and `preference` of a size, made where it is not there yet."""
    shape = SHAPES[size]
    digest = digest_of([VERSION, asdict(shape), SHARD_BYTES, ALPHA, A_STD, B_STD, ZERO_ROWS, ZERO_ENTRIES])
    folder = state / f"{size}-{digest.removeprefix('sha256:')[:12]}"
    if not folder.is_dir():
        unfinished = state / f".{uuid.uuid4().hex}"
        try:
            write_models(unfinished, shape)
            unfinished.rename(folder)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
    return folder


def write_models(folder: Path, shape: ModelShape, *, b_std: float = B_STD) -> None:
    """Write `base`, `sft` and `preference` into a new folder. `b_std`: of B's entries."""
    folder.mkdir(parents=True)
    write_base(folder / "base", shape)
    write_adapter(folder / "sft", shape, folder / "base", seed=1, b_std=b_std, is_sparse=True)
    write_adapter(folder / "preference", shape, folder / "base", seed=2, b_std=b_std, is_sparse=False)


def write_base(folder: Path, shape: ModelShape) -> None:
    """A bfloat16 checkpoint in shards that transformers loads."""
    folder.mkdir()
    random = np.random.default_rng(0)
    shards = _cut(shape.tensors())
    weight_map = {}
    for number, tensors in enumerate(shards, start=1):
        name = f"model-{number:05d}-of-{len(shards):05d}.safetensors"
        described = [(tensor, "BF16", dimensions) for tensor, dimensions in tensors.items()]
        with (folder / name).open("wb") as file:
            file.write(encode_header(described, metadata={"format": "pt"}))
            for dimensions in tensors.values():
                for chunk in _weight(random, dimensions):
                    file.write(_bfloat16(chunk).data)
        weight_map |= dict.fromkeys(tensors, name)
    index = {"metadata": {"total_size": shape.weight_bytes}, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    (folder / "config.json").write_text(json.dumps(_configuration(shape), indent=1))
    _write_tokenizer(folder)


def write_adapter(
    folder: Path, shape: ModelShape, base: Path, *, seed: int, is_sparse: bool, b_std: float = B_STD
) -> None:
    """A LoRA of rank RANK on every linear module, fp32, as PEFT saves it."""
    folder.mkdir()
    random = np.random.default_rng(seed)
    tensors = {}
    for module, (rows, columns) in shape.linear_modules().items():
        a = A_STD * random.standard_normal((RANK, columns), dtype=np.float32)
        b = b_std * random.standard_normal((rows, RANK), dtype=np.float32)
        if is_sparse:
            b[random.random(rows) < ZERO_ROWS] = 0
            b[random.random(b.shape) < ZERO_ENTRIES] = 0
        tensors[f"base_model.model.{module}.lora_A.weight"] = a
        tensors[f"base_model.model.{module}.lora_B.weight"] = b
    save_file(tensors, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    configuration = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": str(base),
        "r": RANK,
        "lora_alpha": ALPHA,
        "rank_pattern": {},
        "alpha_pattern": {},
        "use_rslora": False,
        "lora_dropout": 0.0,
        "bias": "none",
        "inference_mode": True,
        "target_modules": sorted({module.split(".")[-1] for module in shape.linear_modules()}),
    }
    (folder / "adapter_config.json").write_text(json.dumps(configuration, indent=1))


def _cut(tensors: Mapping[str, tuple[int, ...]]) -> list[dict[str, tuple[int, ...]]]:
    shards: list[dict[str, tuple[int, ...]]] = [{}]
    filled = 0
    for name, dimensions in tensors.items():
        size = BFLOAT16_BYTES * int(np.prod(dimensions))
        if filled + size > SHARD_BYTES and shards[-1]:
            shards.append({})
            filled = 0
        shards[-1][name] = dimensions
        filled += size
    return shards


def _weight(random: np.random.Generator, dimensions: tuple[int, ...]) -> Iterator[np.ndarray]:
    """Norms are 1, all else is random."""
    if len(dimensions) == 1:
        yield np.ones(dimensions, np.float32)
        return
    remaining = int(np.prod(dimensions))
    while remaining:
        count = min(remaining, CHUNK_ELEMENTS)
        yield WEIGHT_STD * random.standard_normal(count, dtype=np.float32)
        remaining -= count


def _bfloat16(values: np.ndarray) -> np.ndarray:
    """The upper halves of fp32 bits, rounded to nearest even."""
    bits = values.view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def _write_tokenizer(folder: Path) -> None:
    """One token per byte: a base has to have a tokenizer."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={token: index for index, token in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.save(str(folder / "tokenizer.json"))
    configuration = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 2048}
    (folder / "tokenizer_config.json").write_text(json.dumps(configuration))


def _configuration(shape: ModelShape) -> dict[str, object]:
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": shape.hidden,
        "intermediate_size": shape.intermediate,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.key_value_heads,
        "vocab_size": shape.vocabulary,
        "hidden_act": "silu",
        "max_position_embeddings": 2048,
        "rms_norm_eps": 1e-5,
        "tie_word_embeddings": False,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "torch_dtype": "bfloat16",
    }


if __name__ == "__main__":
    print(prepare_models(sys.argv[1], Path(sys.argv[2])))
