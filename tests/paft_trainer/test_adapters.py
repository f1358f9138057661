"""Adapters as PEFT writes them, and every reason to refuse one."""

import dataclasses
import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from tests.merges import folder_uri, reference_deltas, write_adapter_manifest
from tests.tiny_models import build_adapter, build_checkpoint
from transformers import AutoModelForCausalLM

from paft_trainer.adapter_configuration import KNOWN_OPTIONS
from paft_trainer.adapters import Adapter, read_adapter
from paft_trainer.errors import ArtifactMismatch, ConfigInvalid, StageError
from paft_trainer.storage.file_store import FileStore

Q_PROJ = "model.layers.0.self_attn.q_proj"
A_KEY = f"base_model.model.{Q_PROJ}.lora_A.weight"
B_KEY = f"base_model.model.{Q_PROJ}.lora_B.weight"


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_checkpoint(tmp_path_factory.mktemp("adapters") / "base", "llama")


@pytest.fixture(scope="module")
def plain(base: Path) -> Path:
    return build_adapter(base.parent / "plain", base, target_modules=["q_proj", "down_proj"])


@pytest.fixture
def adapter(plain: Path, tmp_path: Path) -> Path:
    """A copy to spoil."""
    return shutil.copytree(plain, tmp_path / "adapter")


def read(folder: Path, **expected: str) -> Adapter:
    return read_adapter(FileStore(), folder_uri(folder), **expected)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"use_rslora": True},
        {"rank_pattern": {"q_proj": 2}, "alpha_pattern": {"layers.1.self_attn.q_proj": 3}},
        {"rank_pattern": {r".*\.layers\.\d+\.self_attn\.(q_proj|k_proj)": 2, "^(model.layers.0).*": 3}},
        {"alpha_pattern": {"^model.layers.0.mlp.down_proj": 3, "down_proj": 5}, "init_lora_weights": "gaussian"},
    ],
)
def test_every_scale_is_what_peft_computes(base: Path, tmp_path: Path, options: dict[str, Any]) -> None:
    folder = build_adapter(tmp_path / "a", base, r=5, alpha=7, target_modules=["q_proj", "down_proj"], **options)
    stock = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), folder)
    modules = read(folder).modules
    assert len(modules) == 4
    for name, factors in modules.items():
        layer = stock.get_submodule(f"base_model.model.{name}")
        assert factors.scale == pytest.approx(layer.scaling["default"], rel=1e-12)
        assert torch.equal(factors.a, layer.lora_A["default"].weight)
        assert torch.equal(factors.b, layer.lora_B["default"].weight)


def test_shapes_digest_and_manifest(adapter: Path) -> None:
    foreign = read(adapter)
    assert foreign.manifest is None
    assert foreign.base_digest is None
    assert foreign.modules[Q_PROJ].shape == (32, 32)
    assert not foreign.modules[Q_PROJ].is_zero
    digest = write_adapter_manifest(adapter, base_digest="sha256:base")
    ours = read(adapter, expected_base_digest="sha256:base", expected_digest=digest)
    assert ours.digest == foreign.digest == digest
    assert ours.base_digest == "sha256:base"


def test_an_untrained_adapter_is_zero(base: Path, tmp_path: Path) -> None:
    modules = read(build_adapter(tmp_path / "zero", base, zero=True)).modules
    assert all(factors.is_zero for factors in modules.values())


def test_half_precision_factors_become_fp32(adapter: Path) -> None:
    path = adapter / "adapter_model.safetensors"
    save_file({name: tensor.bfloat16() for name, tensor in load_file(path).items()}, path)
    factors = read(adapter).modules[Q_PROJ]
    assert factors.a.dtype == torch.float32
    expected = reference_deltas(adapter)[f"{Q_PROJ}.weight"]
    assert (factors.scale * (factors.b @ factors.a)).numpy() == pytest.approx(expected, rel=1e-4, abs=1e-7)


def configured(**options: Any) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        path = folder / "adapter_config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | options))

    return spoil


def weights(change: Callable[[dict[str, torch.Tensor]], object]) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        tensors = load_file(folder / "adapter_model.safetensors")
        change(tensors)
        save_file(tensors, folder / "adapter_model.safetensors")

    return spoil


def pickled(folder: Path) -> None:
    (folder / "adapter_model.safetensors").rename(folder / "adapter_model.bin")


def no_weights(folder: Path) -> None:
    (folder / "adapter_model.safetensors").unlink()


def no_configuration(folder: Path) -> None:
    (folder / "adapter_config.json").unlink()


def broken_configuration(folder: Path) -> None:
    (folder / "adapter_config.json").write_text("{")


def truncated(folder: Path) -> None:
    path = folder / "adapter_model.safetensors"
    path.write_bytes(path.read_bytes()[:-10])


def changed_after_publication(folder: Path) -> None:
    write_adapter_manifest(folder, base_digest="sha256:base")
    weights(lambda tensors: tensors[A_KEY].mul_(2))(folder)


def broken_manifest(folder: Path) -> None:
    (folder / "paft_manifest.json").write_text("[]")


PLAIN_LORA = ", so its ΔW is not scale·B·A"
REFUSED: dict[str, tuple[Callable[[Path], None], type[StageError], str]] = {
    "pickled": (
        pickled,
        ConfigInvalid,
        "{folder} has pickled weights only (adapter_model.bin); unpickling runs code of the file",
    ),
    "no weights": (no_weights, ConfigInvalid, "{folder} has no adapter_model.safetensors"),
    "no configuration": (no_configuration, ConfigInvalid, "{folder} has no adapter_config.json"),
    "broken configuration": (
        broken_configuration,
        ConfigInvalid,
        "{folder}adapter_config.json is no configuration of PEFT: it is no JSON: Expecting property name enclosed in "
        "double quotes: line 1 column 2 (char 1)",
    ),
    "no rank": (
        configured(r=None),
        ConfigInvalid,
        "{folder}adapter_config.json is no configuration of PEFT: r is None; a rank is a whole number from 1",
    ),
    "alpha NaN": (
        configured(lora_alpha=math.nan),
        ConfigInvalid,
        "{folder}adapter_config.json is no configuration of PEFT: it is no JSON: NaN is no number",
    ),
    "alpha too large": (
        configured(lora_alpha=10**400),
        ConfigInvalid,
        f"{{folder}}adapter_config.json is no configuration of PEFT: lora_alpha is 1{'0' * 119}… (401 characters), "
        "no finite number",
    ),
    "pattern": (
        configured(alpha_pattern={"(": 1}),
        ConfigInvalid,
        "{folder}adapter_config.json is no configuration of PEFT: alpha_pattern has the key '(', no regular "
        "expression: missing ), unterminated subpattern at position 0",
    ),
    "pattern too large": (
        configured(alpha_pattern={"a{99999999999999999999}": 1}),
        ConfigInvalid,
        "{folder}adapter_config.json is no configuration of PEFT: alpha_pattern has the key "
        "'a{99999999999999999999}', no regular expression: the repetition number is too large",
    ),
    "pattern with flags": (
        configured(rank_pattern={"(?i)Q_PROJ": 4}),
        ConfigInvalid,
        "{folder}adapter_config.json is no configuration of PEFT: rank_pattern has the key '(?i)Q_PROJ', no regular "
        "expression: global flags not at the start of the expression at position 8",
    ),
    "pattern without an end": (
        configured(rank_pattern={r"([a-z0-9_]+\.?)+!": 4}),
        ConfigInvalid,
        "{folder}adapter_config.json is no configuration of PEFT: rank_pattern has the key "
        "'([a-z0-9_]+\\\\.?)+!', which may take for ever to match",
    ),
    "other kind": (configured(peft_type="LOHA"), ConfigInvalid, "{folder} is a LOHA adapter"),
    "DoRA": (
        configured(use_dora=True),
        ConfigInvalid,
        "{folder} uses use_dora: DoRA scales ΔW by norms of the merged weights" + PLAIN_LORA,
    ),
    "modules to save": (
        configured(modules_to_save=["lm_head"]),
        ArtifactMismatch,
        "{weights} holds no whole tensor, but adapter_config.json names modules_to_save",
    ),
    "unknown variant": (
        configured(use_next_years_lora=True),
        ConfigInvalid,
        "{folder} uses use_next_years_lora: an option unknown to this version" + PLAIN_LORA,
    ),
    "biases": (configured(bias="all"), ConfigInvalid, "{folder} trained biases (bias: all)"),
    "PiSSA": (
        configured(init_lora_weights="pissa_niter_4"),
        ConfigInvalid,
        "{folder} was initialised with pissa_niter_4, which changes the base it belongs to",
    ),
    "NaN": (
        weights(lambda tensors: tensors[B_KEY][3].fill_(math.nan)),
        ArtifactMismatch,
        "{weights}: " + B_KEY + " holds NaN or infinite values",
    ),
    "infinite": (
        weights(lambda tensors: tensors[A_KEY][0, 0].fill_(-math.inf)),
        ArtifactMismatch,
        "{weights}: " + A_KEY + " holds NaN or infinite values",
    ),
    "beyond fp32": (
        weights(lambda tensors: tensors.update({A_KEY: torch.full((4, 32), 1e200, dtype=torch.float64)})),
        ArtifactMismatch,
        "{weights}: " + A_KEY + " holds NaN or infinite values",
    ),
    "half a pair": (
        weights(lambda tensors: tensors.pop(B_KEY)),
        ArtifactMismatch,
        "{weights}: " + Q_PROJ + " has only lora_A",
    ),
    "rank": (
        weights(lambda tensors: tensors.update({B_KEY: torch.ones(32, 3)})),
        ArtifactMismatch,
        "{weights}: " + Q_PROJ + " has lora_A of rank 4 and lora_B of rank 3, but adapter_config.json says 4",
    ),
    "other rank than configured": (
        configured(r=8),
        ArtifactMismatch,
        "{weights}: model.layers.0.mlp.down_proj has lora_A of rank 4 and lora_B of rank 4, "
        "but adapter_config.json says 8",
    ),
    "embedding": (
        weights(lambda tensors: tensors.update({"base_model.model.model.embed.lora_embedding_A": torch.ones(2, 3)})),
        ConfigInvalid,
        "{weights} holds base_model.model.model.embed.lora_embedding_A of shape [2, 3] and dtype F32, "
        "a factor of an embedding, which is no linear module",
    ),
    "integers": (
        weights(lambda tensors: tensors.update({A_KEY: torch.ones(4, 32, dtype=torch.int8)})),
        ConfigInvalid,
        "{weights} holds " + A_KEY + " of shape [4, 32] and dtype I8, no factor of a linear module",
    ),
    "empty": (weights(lambda tensors: tensors.clear()), ConfigInvalid, "{weights} holds no tensors"),
    "broken manifest": (
        broken_manifest,
        ArtifactMismatch,
        "{folder}paft_manifest.json is no adapter manifest: it is no JSON object",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_with_the_reason_and_a_remedy(adapter: Path, name: str) -> None:
    spoil, kind, message = REFUSED[name]
    spoil(adapter)
    with pytest.raises(kind) as caught:
        read(adapter)
    folder = folder_uri(adapter)
    assert caught.value.message == message.replace("{folder}", folder).replace(
        "{weights}", f"{folder}adapter_model.safetensors"
    )
    assert caught.value.remedy


def test_a_truncated_file_is_refused(adapter: Path) -> None:
    truncated(adapter)
    with pytest.raises(ArtifactMismatch, match="is no proper safetensors file: its tensors end at byte"):
        read(adapter)


def test_files_that_are_not_what_the_manifest_says_are_refused(adapter: Path) -> None:
    before = read(adapter).digest
    changed_after_publication(adapter)
    with pytest.raises(ArtifactMismatch) as caught:
        read(adapter)
    after = caught.value.message.split()[6].rstrip(",")
    assert caught.value.message == (
        f"{folder_uri(adapter)}: its files have the digest {after}, but its manifest says {before}"
    )


def test_another_base_or_another_adapter_than_expected_is_refused(adapter: Path) -> None:
    digest = write_adapter_manifest(adapter, base_digest="sha256:base")
    with pytest.raises(ArtifactMismatch) as caught:
        read(adapter, expected_base_digest="sha256:other")
    assert caught.value.message == (
        f"{folder_uri(adapter)} was trained on the base sha256:base, but the base is sha256:other"
    )
    assert caught.value.remedy == "Merge adapters with the base they were trained on."
    with pytest.raises(ArtifactMismatch) as caught:
        read(adapter, expected_digest="sha256:other")
    assert caught.value.message == (f"{folder_uri(adapter)} has the digest {digest}, but sha256:other was to be merged")


def test_every_option_of_peft_is_known() -> None:
    """A new version's new option is to be looked at before adapters with it are merged."""
    saved = {option.name for option in dataclasses.fields(LoraConfig)} - {"runtime_config"}
    assert saved == KNOWN_OPTIONS


CHANGES_THE_DELTA: dict[str, Any] = {
    "use_dora": True,
    "fan_in_fan_out": True,
    "trainable_token_indices": [1, 2],
    "layer_replication": [[0, 2], [1, 2]],
    "lora_bias": True,
    "target_parameters": ["mlp.experts.gate_up_proj"],
    "alora_invocation_tokens": [3],
    "use_qalora": True,
    "use_bdlora": {"nblocks": 2},
    "arrow_config": {"top_k": 3},
    "kasa_config": {},
    "monteclora_config": {},
    "megatron_config": {"tensor_model_parallel_size": 2},
}


@pytest.mark.parametrize("option", CHANGES_THE_DELTA)
def test_options_that_change_the_delta_are_refused_by_name(adapter: Path, option: str) -> None:
    configured(**{option: CHANGES_THE_DELTA[option]})(adapter)
    with pytest.raises(ConfigInvalid, match=f"uses {option}: .*, so its ΔW is not scale·B·A"):
        read(adapter)
    configured(**{option: None})(adapter)
    assert read(adapter).modules


@pytest.mark.parametrize("initialisation", ["olora", "PiSSA", "loftq", "corda", "lora_ga", "next_years"])
def test_initialisations_that_may_change_the_base_are_refused(adapter: Path, initialisation: str) -> None:
    configured(init_lora_weights=initialisation)(adapter)
    with pytest.raises(ConfigInvalid, match=f"was initialised with {initialisation}, which .* the base it belongs to"):
        read(adapter)


@pytest.mark.parametrize("initialisation", [True, False, None, "gaussian", "eva", "orthogonal", "mica"])
def test_initialisations_of_the_factors_alone_are_taken(adapter: Path, initialisation: object) -> None:
    configured(init_lora_weights=initialisation)(adapter)
    assert read(adapter).modules


VARIANTS: dict[str, tuple[dict[str, Any], str]] = {
    "DoRA": ({"use_dora": True}, "holds .*lora_magnitude_vector.* a norm of DoRA"),
    "bias of a factor": ({"lora_bias": True}, "holds .*lora_B.bias .* a bias of a factor"),
    "embedding": ({"target_modules": ["embed_tokens"]}, "holds .* a factor of an embedding"),
    "rows of an embedding": ({"trainable_token_indices": [1, 5]}, "holds .* rows of an embedding"),
}


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.filterwarnings("ignore:Setting `save_embedding_layers`", "ignore:.*lora_(bias=True|B.bias)")
def test_variants_that_peft_writes_are_refused_whatever_the_configuration_says(
    base: Path, tmp_path: Path, name: str
) -> None:
    options, words = VARIANTS[name]
    folder = build_adapter(tmp_path / "a", base, **{"target_modules": ["q_proj"]} | options)
    if options.keys() != {"target_modules"}:
        with pytest.raises(ConfigInvalid, match=f"uses {next(iter(options))}"):
            read(folder)
        configured(**dict.fromkeys(options))(folder)
    with pytest.raises(ConfigInvalid, match=words):
        read(folder)


def test_a_convolution_is_refused(tmp_path: Path) -> None:
    model = get_peft_model(
        torch.nn.Sequential(torch.nn.Conv2d(2, 4, 3), torch.nn.Linear(4, 4)), LoraConfig(target_modules=["0"])
    )
    model.save_pretrained(tmp_path / "a")
    with pytest.raises(ConfigInvalid, match="no factor of a linear module but of a convolution"):
        read(tmp_path / "a")


def test_large_files_are_read_in_pieces(adapter: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = read(adapter)
    monkeypatch.setattr("paft_trainer.adapter_weights.CHUNK_BYTES", 600)
    pieces = read(adapter)
    assert pieces.digest == whole.digest
    assert pieces.modules.keys() == whole.modules.keys()
    for module, factors in pieces.modules.items():
        assert torch.equal(factors.a, whole.modules[module].a)
        assert torch.equal(factors.b, whole.modules[module].b)


@pytest.mark.filterwarnings("ignore:The following .*_pattern keys did not match")
def test_patterns_match_as_in_peft(base: Path, tmp_path: Path) -> None:
    """Whole names, alternatives, classes and the order of keys, by PEFT itself."""
    patterns = {
        "alpha_pattern": {"q_proj|k_proj": 3, r"layers\.\d\.self_attn\.v_proj": 5, "proj": 7, ".*": 11},
        "rank_pattern": {"^model.layers.0.self_attn.q_proj": 2, "self_attn.q_proj": 3, "elf_attn.k_proj": 9},
    }
    folder = build_adapter(tmp_path / "a", base, target_modules="all-linear", **patterns)
    stock = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), folder)
    for name, factors in read(folder).modules.items():
        layer = stock.get_submodule(f"base_model.model.{name}")
        assert factors.scale == pytest.approx(layer.scaling["default"], rel=1e-12)
        assert factors.a.shape[0] == layer.r["default"]
