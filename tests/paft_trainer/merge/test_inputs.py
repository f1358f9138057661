"""What does not belong together is refused before a byte of the base's weights is read, and nothing is written."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.merges import (
    FailingStore,
    folder_uri,
    load_checkpoint,
    merge_run_spec,
    run_merge,
    write_adapter_manifest,
)
from tests.tiny_models import build_adapter, build_checkpoint

from paft_trainer.base.index import index_base
from paft_trainer.errors import ArtifactMismatch, ConfigInvalid, StageError
from paft_trainer.merge import stage
from paft_trainer.storage.file_store import FileStore

OTHER = "sha256:" + "0" * 64


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("inputs")
    base = build_checkpoint(root / "base", "llama", dtype=torch.bfloat16, tied=True)
    build_adapter(root / "sft", base, seed=1)
    build_adapter(root / "preference", base, seed=2)
    return root


@pytest.fixture
def root(prepared: Path, tmp_path: Path) -> Path:
    """Copies to spoil."""
    return shutil.copytree(prepared, tmp_path / "root")


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> FailingStore:
    """The store of the next merge; it remembers what was read and written."""
    store = FailingStore(FileStore())
    monkeypatch.setattr(stage, "open_stage_store", lambda *arguments, **options: store)
    return store


def refused(root: Path, kind: type[StageError], **options: Any) -> StageError:
    """The error of a merge that must be refused."""
    folders = {name: folder_uri(root / name) for name in ("base", "sft", "preference")}
    places = {"output": folder_uri(root / "out"), "artifacts": folder_uri(root / "artifacts")}
    with pytest.raises(kind) as caught:
        run_merge(merge_run_spec(**folders | places | options))
    assert not (root / "out").exists()
    return caught.value


def assert_no_weights_were_read(store: FailingStore) -> None:
    """Only the length of a header (from byte 0) and the header (from byte 8)."""
    assert all(start in (0, 8) for uri, start, _ in store.ranges if "adapter_model" not in uri)
    assert store.changes == []


def assert_the_base_was_not_read(store: FailingStore) -> None:
    """And of adapters nothing but headers before they are read as a whole."""
    assert not any("/base/" in uri for uri, _, _ in store.ranges)
    assert_no_weights_were_read(store)


def test_another_base(root: Path, store: FailingStore) -> None:
    write_adapter_manifest(root / "sft", base_digest=OTHER)
    digest = "sha256:" + "1" * 64
    error = refused(root, ArtifactMismatch, base_digest=digest)
    sft = folder_uri(root / "sft")
    assert error.message == f"{sft} was trained on the base {OTHER}, but the base is {digest}"
    assert error.remedy == "Merge adapters with the base they were trained on."
    assert_the_base_was_not_read(store)


def test_another_base_is_found_where_nobody_told_the_base_s_digest(root: Path) -> None:
    write_adapter_manifest(root / "sft", base_digest=OTHER)
    digest = index_base(FileStore(), folder_uri(root / "base"), None).digest
    error = refused(root, ArtifactMismatch)
    assert error.message == f"{folder_uri(root / 'sft')} was trained on the base {OTHER}, but the base is {digest}"


def test_two_bases(root: Path, store: FailingStore) -> None:
    write_adapter_manifest(root / "sft", base_digest=OTHER)
    digest = "sha256:" + "1" * 64
    write_adapter_manifest(root / "preference", base_digest=digest)
    error = refused(root, ArtifactMismatch)
    assert error.message == (
        f"the sft adapter {folder_uri(root / 'sft')} was trained on the base {OTHER}, "
        f"the preference adapter {folder_uri(root / 'preference')} on {digest}"
    )
    assert_the_base_was_not_read(store)


def test_a_base_that_changed_since_it_was_prepared(root: Path) -> None:
    found = index_base(FileStore(), folder_uri(root / "base"), None).digest
    error = refused(root, ArtifactMismatch, base_digest=OTHER)
    assert error.message == f"{folder_uri(root / 'base')} has the digest {found}, but {OTHER} was prepared"


def test_another_adapter_than_was_trained(root: Path, store: FailingStore) -> None:
    error = refused(root, ArtifactMismatch, digests={"preference": OTHER})
    assert error.message.endswith(f", but {OTHER} was to be merged")
    assert_the_base_was_not_read(store)


def test_factors_of_which_the_product_may_overflow(root: Path, store: FailingStore) -> None:
    path = root / "sft" / "adapter_model.safetensors"
    tensors = load_file(path)
    save_file({name: torch.full_like(tensor, 1e16) for name, tensor in tensors.items()}, path, {"format": "pt"})
    error = refused(root, ArtifactMismatch)
    assert error.message.endswith("mlp.down_proj whose product may be as large as 8.0e+32")
    assert error.remedy == "Train the adapter again: its factors are far too large."
    assert_no_weights_were_read(store)


def test_shapes_that_do_not_fit(root: Path, store: FailingStore) -> None:
    wider = build_checkpoint(root / "wider", "llama", hidden_size=64)
    shutil.rmtree(root / "preference")
    build_adapter(root / "preference", wider, target_modules=["v_proj"])
    error = refused(root, ArtifactMismatch)
    assert error.message == (
        f"the preference adapter {folder_uri(root / 'preference')} has a ΔW of shape [32, 64] for "
        "model.layers.0.self_attn.v_proj, but the base's weight is [16, 32]"
    )
    assert error.remedy == "Merge adapters with the base they were trained on."
    assert_no_weights_were_read(store)


def rename_modules(adapter: Path, old: str, new: str) -> None:
    path = adapter / "adapter_model.safetensors"
    save_file({name.replace(old, new): tensor for name, tensor in load_file(path).items()}, path)


def test_modules_that_the_base_does_not_have(root: Path, store: FailingStore) -> None:
    rename_modules(root / "sft", "layers.1", "layers.7")
    error = refused(root, ArtifactMismatch)
    assert error.message == (
        f"the sft adapter {folder_uri(root / 'sft')} changes model.layers.7.mlp.down_proj, of which the base has no "
        "weight (7 of its 14 modules are unknown)"
    )
    assert_no_weights_were_read(store)


def test_a_head_that_is_tied(root: Path, store: FailingStore) -> None:
    rename_modules(root / "sft", "model.layers.0.self_attn.q_proj", "lm_head")
    error = refused(root, ArtifactMismatch)
    assert error.message.endswith("changes lm_head, of which the base has no weight (1 of its 14 modules are unknown)")
    path = root / "base" / "model.safetensors"
    save_file(load_checkpoint(root / "base") | {"lm_head.weight": torch.zeros(32, 32).bfloat16()}, path)
    error = refused(root, ArtifactMismatch)
    assert error.message == (
        f"the sft adapter {folder_uri(root / 'sft')} changes lm_head, but config.json ties the head to the embedding: "
        "readers would drop the change"
    )
    assert error.remedy == "Train the adapter without the head in targetModules."
    assert_no_weights_were_read(store)


def test_a_dtype_that_cannot_take_a_delta(root: Path, store: FailingStore) -> None:
    tensors = load_checkpoint(root / "base")
    name = "model.layers.0.mlp.down_proj.weight"
    save_file(tensors | {name: tensors[name].to(torch.float8_e4m3fn)}, root / "base" / "model.safetensors")
    error = refused(root, ArtifactMismatch)
    assert error.message == f"{name} of the base is F8_E4M3, which cannot take a delta"
    assert error.remedy == "Use a base in one of BF16, F32, F16."
    assert_no_weights_were_read(store)


def pickle_adapter(root: Path) -> None:
    (root / "sft" / "adapter_model.safetensors").rename(root / "sft" / "adapter_model.bin")


def poison_adapter(root: Path) -> None:
    path = root / "sft" / "adapter_model.safetensors"
    tensors = load_file(path)
    next(iter(tensors.values()))[0, 0] = float("nan")
    save_file(tensors, path)


def dora_adapter(root: Path) -> None:
    path = root / "sft" / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"use_dora": True}))


@pytest.mark.parametrize(
    ("spoil", "kind", "reason"),
    [
        (pickle_adapter, ConfigInvalid, "has pickled weights only"),
        (poison_adapter, ArtifactMismatch, "holds NaN or infinite values"),
        (dora_adapter, ConfigInvalid, "uses use_dora"),
    ],
)
def test_adapters_that_cannot_be_merged(
    root: Path, store: FailingStore, spoil: Callable[[Path], None], kind: type[StageError], reason: str
) -> None:
    spoil(root)
    assert reason in refused(root, kind).message
    assert_the_base_was_not_read(store)


def test_a_tensor_in_two_files(root: Path, store: FailingStore) -> None:
    base = root / "base"
    tensors = load_checkpoint(base)
    (base / "model.safetensors").unlink()
    names = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    for name in names:
        save_file({"model.norm.weight": tensors["model.norm.weight"]}, base / name)
    index = {"weight_map": {"model.norm.weight": names[0], "other": names[1]}}
    (base / "model.safetensors.index.json").write_text(json.dumps(index))
    error = refused(root, ArtifactMismatch)
    assert error.message == (
        f"model.norm.weight lies in {folder_uri(base)}{names[0]} and in {folder_uri(base)}{names[1]}"
    )
    assert_no_weights_were_read(store)
