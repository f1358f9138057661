"""What the trials' operations work on: a small base of which one file is large enough for several parts, adapters for
it, and a checkpoint's content."""

import hashlib
import json
from pathlib import Path

import torch
from peft import LoraConfig
from safetensors.torch import save, save_file
from tests.merges import folder_uri, write_adapter_manifest

from paft_trainer.base.index import index_base
from paft_trainer.storage.file_store import FileStore
from paft_trainer.training.adapter_state import MOMENTS, AdapterState
from paft_trainer.training.checkpoints.checkpoint import Checkpoint, TrainerPosition

WIDTH = 64
RANK = 4
SMALL_ROWS = 100
LARGE_ROWS = 22_000
"""Rows of fp32 that make up more than one part of 5 MiB."""

MODULES = tuple(f"model.layers.{layer}.mlp.up_proj" for layer in range(2))


def write_sources(directory: Path) -> None:
    """Folders base, sft and preference, the same bytes each time; and a small base with adapters of which nobody tells
    where they were trained."""
    _write_base(directory / "small" / "base", rows=SMALL_ROWS)
    for seed, name in enumerate(("sft", "preference")):
        _write_adapter(directory / "small" / name, seed)
    _write_base(directory / "base", rows=LARGE_ROWS)
    digest = index_base(FileStore(), folder_uri(directory / "base"), None).digest
    for seed, name in enumerate(("sft", "preference")):
        _write_adapter(directory / name, seed)
        write_adapter_manifest(directory / name, base_digest=digest)


def checkpoint_at(step: int) -> Checkpoint:
    """As a run would save it at this step."""
    generator = torch.Generator().manual_seed(step)
    name = f"base_model.model.{MODULES[0]}.lora_A.default.weight"
    # With its moments more than one part.
    weights, *moments = ({name: torch.randn(LARGE_ROWS // 3, WIDTH, generator=generator)} for _ in range(3))
    return Checkpoint(
        position=TrainerPosition(step=step, scheduler={"last_epoch": step}, history={"first_loss": 2.5}),
        adapter=AdapterState(
            weights=weights,
            moments=dict(zip(MOMENTS, moments, strict=True)),
            adam_step=step,
        ),
        rng={0: {"cpu": torch.randint(256, (64,), dtype=torch.uint8, generator=generator)}},
    )


def checkpoint_digest(checkpoint: Checkpoint) -> str:
    """Tells checkpoints apart by all that they hold."""
    digest = hashlib.sha256(json.dumps([checkpoint.position.step, checkpoint.position.history]).encode())
    moments = checkpoint.adapter.moments
    for tensors in (checkpoint.adapter.weights, *(moments[name] for name in MOMENTS), *checkpoint.rng.values()):
        for name, tensor in sorted(tensors.items()):
            digest.update(name.encode() + tensor.numpy().tobytes())
    return digest.hexdigest()


def adapter_files(seed: int) -> dict[str, bytes]:
    """What training publishes: small, and another one for each seed."""
    return {
        "adapter_config.json": json.dumps({"peft_type": "LORA", "r": RANK, "lora_alpha": 8}).encode(),
        "adapter_model.safetensors": save(_factors(seed), metadata={"format": "pt"}),
    }


def _write_base(folder: Path, *, rows: int) -> None:
    folder.mkdir(parents=True)
    generator = torch.Generator().manual_seed(0)
    tensors = {"model.embed_tokens.weight": torch.randn(rows, WIDTH, generator=generator)}
    for module in MODULES:
        tensors[f"{module}.weight"] = torch.randn(2 * WIDTH, WIDTH, generator=generator)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "config.json").write_text(json.dumps({"model_type": "llama", "tie_word_embeddings": False}))
    (folder / "tokenizer.json").write_text(json.dumps({"model": {"vocab": {}}}))


def _write_adapter(folder: Path, seed: int) -> None:
    folder.mkdir(parents=True)
    LoraConfig(r=RANK, lora_alpha=8, target_modules=["up_proj"], task_type="CAUSAL_LM").save_pretrained(str(folder))
    save_file(_factors(10 + seed), folder / "adapter_model.safetensors")


def _factors(seed: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    tensors = {}
    for module in MODULES:
        tensors[f"base_model.model.{module}.lora_A.weight"] = 0.05 * torch.randn(RANK, WIDTH, generator=generator)
        tensors[f"base_model.model.{module}.lora_B.weight"] = 0.05 * torch.randn(2 * WIDTH, RANK, generator=generator)
    return tensors
