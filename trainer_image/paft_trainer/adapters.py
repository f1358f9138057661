"""Reading PEFT LoRA adapters from an object store, with every reason to refuse one before anything else is read."""

import hashlib
import json
import math
import re
from dataclasses import dataclass
from typing import Any

import torch
from safetensors.torch import load as load_safetensors

from paft_api.digests import file_set_digest
from paft_api.layout import ADAPTER_MANIFEST_FILE
from paft_trainer.errors import ArtifactMismatch, ConfigInvalid
from paft_trainer.safetensors_files import parse_header
from paft_trainer.storage import ObjectMissing, ObjectStore

CONFIGURATION_FILE = "adapter_config.json"
WEIGHTS_FILE = "adapter_model.safetensors"
PICKLED_FILE = "adapter_model.bin"

_KEY = re.compile(r"^base_model\.model\.(?P<module>.+)\.lora_(?P<factor>[AB])\.weight$")
_REFUSED_OPTIONS = {
    "use_dora": "DoRA scales ΔW by norms of the merged weights",
    "fan_in_fan_out": "its base stores weights transposed",
    "modules_to_save": "it carries whole modules besides its factors",
    "trainable_token_indices": "it carries rows of the embedding",
    "layer_replication": "it repeats layers of the base",
    "lora_bias": "it carries biases",
    "use_qalora": "it groups the inputs of A",
    "arrow_config": "it routes between experts",
}
_CHANGES_THE_BASE = ("pissa", "olora", "loftq", "corda", "eva_residual")


@dataclass(frozen=True, kw_only=True, slots=True)
class Factors:
    """One adapted module: ΔW = scale·B·A. `a` is [r, in_features] and `b` [out_features, r], both fp32."""

    a: torch.Tensor
    b: torch.Tensor
    scale: float

    @property
    def shape(self) -> tuple[int, int]:
        """Shape of ΔW."""
        return self.b.shape[0], self.a.shape[1]

    @property
    def is_zero(self) -> bool:
        """Whether ΔW is known to be zero from one factor alone."""
        return self.scale == 0 or not bool(self.a.any()) or not bool(self.b.any())


@dataclass(frozen=True, kw_only=True, slots=True)
class Adapter:
    """A LoRA adapter. `modules` maps names of the base's modules to factors; `manifest` is PAFT's own, where it has
    one."""

    uri: str
    digest: str
    modules: dict[str, Factors]
    manifest: dict[str, Any] | None


def read_adapter(
    store: ObjectStore, folder: str, *, expected_base_digest: str | None = None, expected_digest: str | None = None
) -> Adapter:
    """Read and check an adapter. Raises ArtifactMismatch or ConfigInvalid with the reason.

    `expected_base_digest` is compared with the manifest's, where there is one; `expected_digest` with the files.
    """
    configuration_bytes, weights_bytes = _read_files(store, folder)
    sha256_by_name = {
        CONFIGURATION_FILE: hashlib.sha256(configuration_bytes).hexdigest(),
        WEIGHTS_FILE: hashlib.sha256(weights_bytes).hexdigest(),
    }
    digest = file_set_digest(sha256_by_name)
    if expected_digest is not None and digest != expected_digest:
        raise ArtifactMismatch(
            f"{folder} has the digest {digest}, but {expected_digest} was to be merged",
            remedy="Start the job again, so that it takes the adapter as it is now.",
        )
    manifest = _read_manifest(store, folder, digest)
    if manifest is not None and expected_base_digest not in (None, manifest["baseDigest"]):
        raise ArtifactMismatch(
            f"{folder} was trained on the base {manifest['baseDigest']}, but the base is {expected_base_digest}",
            remedy="Merge adapters with the base they were trained on.",
        )
    configuration = json.loads(configuration_bytes)
    _check_configuration(folder, configuration)
    parse_header(
        folder + WEIGHTS_FILE,
        weights_bytes[8 : 8 + int.from_bytes(weights_bytes[:8], "little")],
        file_size=len(weights_bytes),
    )
    modules = _pair_factors(folder, configuration, load_safetensors(weights_bytes))
    return Adapter(uri=folder, digest=digest, modules=modules, manifest=manifest)


def _read_files(store: ObjectStore, folder: str) -> tuple[bytes, bytes]:
    try:
        configuration = store.read(folder + CONFIGURATION_FILE)
    except ObjectMissing as error:
        raise ConfigInvalid(
            f"{folder} has no {CONFIGURATION_FILE}", remedy="Give the folder of a PEFT adapter."
        ) from error
    if store.head(folder + WEIGHTS_FILE) is None:
        if store.head(folder + PICKLED_FILE) is not None:
            raise ConfigInvalid(
                f"{folder} has pickled weights only ({PICKLED_FILE}); unpickling runs code of the file",
                remedy="Load the adapter once with PEFT and save it again, which writes safetensors.",
            )
        raise ConfigInvalid(f"{folder} has no {WEIGHTS_FILE}", remedy="Give the folder of a PEFT adapter.")
    return configuration, store.read(folder + WEIGHTS_FILE)


def _read_manifest(store: ObjectStore, folder: str, digest: str) -> dict[str, Any] | None:
    if store.head(folder + ADAPTER_MANIFEST_FILE) is None:
        return None
    manifest: dict[str, Any] = json.loads(store.read(folder + ADAPTER_MANIFEST_FILE))
    if manifest["digest"] != digest:
        raise ArtifactMismatch(
            f"{folder}: its files have the digest {digest}, but its manifest says {manifest['digest']}",
            remedy="The adapter was changed after it was published; train it again.",
        )
    return manifest


def _check_configuration(folder: str, configuration: dict[str, Any]) -> None:
    if configuration.get("peft_type") != "LORA":
        raise ConfigInvalid(
            f"{folder} is a {configuration.get('peft_type')} adapter", remedy="Only LoRA adapters can be merged."
        )
    for option, reason in _REFUSED_OPTIONS.items():
        if configuration.get(option):
            raise ConfigInvalid(
                f"{folder} uses {option}: {reason}, so B·A is not its whole ΔW",
                remedy=f"Train the adapter without {option}.",
            )
    if configuration.get("bias", "none") != "none":
        raise ConfigInvalid(
            f"{folder} trained biases (bias: {configuration['bias']})", remedy="Train the adapter with bias: none."
        )
    initialisation = configuration.get("init_lora_weights", True)
    if isinstance(initialisation, str) and initialisation.lower().startswith(_CHANGES_THE_BASE):
        raise ConfigInvalid(
            f"{folder} was initialised with {initialisation}, which changes the base it belongs to",
            remedy="Convert it to a plain LoRA first (PEFT's path_initial_model_for_weight_conversion).",
        )


def _pair_factors(folder: str, configuration: dict[str, Any], tensors: dict[str, torch.Tensor]) -> dict[str, Factors]:
    halves: dict[str, dict[str, torch.Tensor]] = {}
    for key, tensor in tensors.items():
        match = _KEY.match(key)
        if match is None or tensor.dim() != 2:
            raise ConfigInvalid(
                f"{folder}{WEIGHTS_FILE} holds {key} of shape {list(tensor.shape)}, no factor of a linear layer",
                remedy="Only LoRA on linear modules can be merged.",
            )
        if not bool(torch.isfinite(tensor).all()):
            raise ArtifactMismatch(
                f"{folder}{WEIGHTS_FILE}: {key} holds NaN or infinite values", remedy="Train the adapter again."
            )
        halves.setdefault(match["module"], {})[match["factor"]] = tensor.float()
    if not halves:
        raise ConfigInvalid(f"{folder}{WEIGHTS_FILE} holds no tensors", remedy="Train the adapter again.")
    return {module: _factors(folder, module, configuration, pair) for module, pair in sorted(halves.items())}


def _factors(folder: str, module: str, configuration: dict[str, Any], pair: dict[str, torch.Tensor]) -> Factors:
    if set(pair) != {"A", "B"}:
        raise ArtifactMismatch(f"{folder}{WEIGHTS_FILE}: {module} has only lora_{next(iter(pair))}")
    rank = pair["A"].shape[0]
    if pair["B"].shape[1] != rank:
        raise ArtifactMismatch(
            f"{folder}{WEIGHTS_FILE}: {module} has lora_A of rank {rank}, but lora_B of rank {pair['B'].shape[1]}"
        )
    alpha = _by_pattern(configuration.get("alpha_pattern") or {}, module, configuration["lora_alpha"])
    divisor = math.sqrt(rank) if configuration.get("use_rslora") else rank
    return Factors(a=pair["A"], b=pair["B"], scale=alpha / divisor)


def _by_pattern(patterns: dict[str, float], module: str, default: float) -> float:
    """PEFT's rule: a key is a regular expression for the end of the module's name, after a dot."""
    return next((value for key, value in patterns.items() if re.match(rf"(.*\.)?({key})$", module)), default)
