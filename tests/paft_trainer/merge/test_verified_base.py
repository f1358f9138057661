"""A merge takes no byte of a base that was indexed for another."""

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.merges import folder_bytes, folder_uri, merge_run_spec, run_merge
from tests.tiny_models import build_adapter, build_checkpoint

from paft_api.layout import MERGE_MANIFEST_FILE
from paft_api.run_spec import RunSpec
from paft_trainer.base.index import index_base
from paft_trainer.errors import ArtifactMismatch
from paft_trainer.merge import stage
from paft_trainer.storage.file_store import FileStore

Spec = Callable[..., RunSpec]

DATA = 9
"""Reads that begin here or later are of tensors, not of the header."""


class SpoilingStore(FileStore):
    """Flips a bit in the first reads of ranges of a file. `first`: of those that begin there or later."""

    def __init__(self, name: str, times: int, *, first: int = 0) -> None:
        super().__init__()
        self._name = name
        self._first = first
        self.left = times

    def read_range(self, uri: str, start: int, size: int, *, etag: str | None = None) -> bytes:
        """As it is, or spoilt."""
        content = super().read_range(uri, start, size, etag=etag)
        if not uri.endswith(f"/base/{self._name}") or start < self._first or self.left == 0:
            return content
        self.left -= 1
        return bytes([content[0] ^ 1]) + content[1:]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("verified")
    base = build_checkpoint(root / "base", "llama")
    build_adapter(root / "sft", base, seed=1)
    build_adapter(root / "preference", base, seed=2)
    index_base(FileStore(), folder_uri(base), folder_uri(root / "artifacts"))
    return root


@pytest.fixture
def spec(root: Path, tmp_path: Path) -> Spec:
    digest = index_base(FileStore(), folder_uri(root / "base"), folder_uri(root / "artifacts")).digest

    def make(output: str, **options: str) -> RunSpec:
        return merge_run_spec(
            **{name: folder_uri(root / name) for name in ("base", "sft", "preference", "artifacts")},
            output=folder_uri(tmp_path / output),
            base_digest=digest,
            **options,
        )

    return make


@pytest.mark.parametrize("method", ["linear", "slerp"])
@pytest.mark.parametrize(("name", "first"), [("model.safetensors", DATA), ("tokenizer.json", 0), ("config.json", 0)])
def test_spoilt_bytes_are_read_again(
    spec: Spec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str, name: str, first: int
) -> None:
    run_merge(spec("whole", method=method))
    store = SpoilingStore(name, 1, first=first)
    monkeypatch.setattr(stage, "open_stage_store", lambda run_spec, reporter: store)
    run_merge(spec("out", method=method))
    assert store.left == 0
    whole, found = folder_bytes(tmp_path / "whole"), folder_bytes(tmp_path / "out")
    assert found == whole


@pytest.mark.parametrize(
    ("name", "first", "message"),
    [
        ("model.safetensors", DATA, "model.safetensors is not what was indexed: twice it came with wrong bytes"),
        ("tokenizer.json", 0, "tokenizer.json is not what was indexed"),
    ],
)
def test_what_is_always_wrong_is_refused_before_there_is_a_manifest(
    spec: Spec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, first: int, message: str
) -> None:
    store = SpoilingStore(name, 1000, first=first)
    monkeypatch.setattr(stage, "open_stage_store", lambda run_spec, reporter: store)
    with pytest.raises(ArtifactMismatch, match=message) as caught:
        run_merge(spec("out"))
    assert "paft verify" in caught.value.remedy
    assert not (tmp_path / "out" / MERGE_MANIFEST_FILE).exists()
