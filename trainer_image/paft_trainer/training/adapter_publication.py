"""Writes a trained adapter as a plain PEFT folder and publishes it (see paft_trainer.published_adapters)."""

import hashlib
import importlib.metadata
import json
import tempfile
from pathlib import Path
from typing import Any

import torch
from peft import get_peft_model_state_dict
from safetensors.torch import save as save_safetensors

from paft_api.digests import file_set_digest
from paft_api.layout import ADAPTER_MANIFEST_FILE, OWN_ADAPTER
from paft_api.report import AdapterMetrics, AdapterResult
from paft_trainer.published_adapters import FORMAT_VERSION, finish_publication, make_claim
from paft_trainer.publishing import claim_folder
from paft_trainer.training.arm_session import ArmSession

_VERSIONED = ("paft", "torch", "transformers", "peft", "trl", "deepspeed")


def encode_adapter(model: Any, weights: dict[str, torch.Tensor], *, base_uri: str) -> dict[str, bytes]:
    """The files of a PEFT adapter: fp32 weights under the names that stock PEFT reads, and its configuration."""
    configuration = model.peft_config["default"]
    configuration.base_model_name_or_path = base_uri
    named = get_peft_model_state_dict(model, state_dict=weights, save_embedding_layers=False)
    with tempfile.TemporaryDirectory() as folder:
        configuration.save_pretrained(folder)
        configuration_bytes = (Path(folder) / "adapter_config.json").read_bytes()
    tensors = {name: tensor.contiguous() for name, tensor in sorted(named.items())}
    return {
        "adapter_config.json": configuration_bytes,
        "adapter_model.safetensors": save_safetensors(tensors, metadata={"format": "pt"}),
    }


def publish_adapter(session: ArmSession, files: dict[str, bytes], metrics: AdapterMetrics) -> AdapterResult:
    """Publish this attempt's adapter, or adopt the one that was published meanwhile. Raises ArtifactMismatch."""
    own_folder = session.attempt_folder + OWN_ADAPTER
    for name, content in files.items():
        with session.store.open_writer(own_folder + name) as writer:
            writer.write(content)
    manifest_bytes = json.dumps(_manifest(session, files, metrics)).encode()
    session.store.put(own_folder + ADAPTER_MANIFEST_FILE, manifest_bytes)
    claim = make_claim(own_folder, manifest_bytes)
    held = claim_folder(
        session.store,
        session.stage_folder,
        claim,
        manifest_name=ADAPTER_MANIFEST_FILE,
        allow_unconditional=session.run_spec.storage.allow_unconditional_publish,
    )
    published = finish_publication(session.store, session.stage_folder, held)
    return published if held["digest"] != claim["digest"] else published.model_copy(update={"adopted": False})


def _manifest(session: ArmSession, files: dict[str, bytes], metrics: AdapterMetrics) -> dict[str, Any]:
    sha256_by_name = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    return {
        "formatVersion": FORMAT_VERSION,
        "kind": "adapter",
        "stage": session.stage,
        "stageDigest": session.stage_digest,
        "baseDigest": session.run_spec.base_digest,
        "digest": file_set_digest(sha256_by_name),
        "files": {name: {"size": len(content), "sha256": sha256_by_name[name]} for name, content in files.items()},
        "spec": session.arm.to_document(),
        "versions": {name: importlib.metadata.version(name) for name in _VERSIONED},
        "metrics": metrics.to_document(),
        "sparsity": session.history.sparsity,
    }
