"""What prepare finds out about a job that is all right."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from tests.paft_trainer.prepare.jobs import TRAINING, findings_of, prepare_run_spec, run_prepare
from tests.run_specs import write_sums
from tests.tiny_models import build_adapter, build_checkpoint

from paft_api.digests import preference_digest, recipe_digest, sft_digest
from paft_api.layout import (
    ADAPTER_MANIFEST_FILE,
    CLAIM_FILE,
    attempt_folder,
    candidate_folder,
    prepare_attempt_marker_uri,
    stage_folder,
)
from paft_api.report import ArmPreparation, FinishedArtifact
from paft_api.spec.storage import StorageSpec
from paft_api.stages import StageName
from paft_trainer.adapters import read_adapter
from paft_trainer.base.index import index_base
from paft_trainer.data.rows import digest_sources
from paft_trainer.keeping.attempt_marker import AttemptEnd, read_marker
from paft_trainer.prepare import preparation
from paft_trainer.prepare.storage_checks import check_artifact_rights
from paft_trainer.published_adapters import make_claim
from paft_trainer.storage import ObjectStore, open_store
from paft_trainer.storage.file_store import FileStore, uri_of


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("preparation")
    build_checkpoint(root / "base", max_shard_size="60KB")
    build_adapter(root / "adapter", root / "base")
    write_sums(root)
    return root


def claim_adapter(root: Path, storage: StorageSpec, stage: StageName, stage_digest: str) -> str:
    """An attempt that wrote its adapter and claimed the stage's folder, and was killed then; the adapter's digest."""
    store = open_store(storage)
    own = f"{attempt_folder(storage.artifacts_uri, stage, stage_digest, 'other', 1)}adapter/"
    for path in (root / "adapter").iterdir():
        store.put(own + path.name, path.read_bytes())
    adapter = read_adapter(store, own)
    files = {
        path.name: {"sha256": hashlib.sha256(path.read_bytes()).hexdigest()} for path in (root / "adapter").iterdir()
    }
    manifest = {"formatVersion": 1, "baseDigest": "sha256:base", "digest": adapter.digest, "files": files}
    manifest["metrics"] = {"steps": 12}
    manifest_bytes = json.dumps(manifest).encode()
    store.put(own + ADAPTER_MANIFEST_FILE, manifest_bytes)
    claim = make_claim(own, manifest_bytes)
    store.put(stage_folder(storage.artifacts_uri, stage, stage_digest) + CLAIM_FILE, json.dumps(claim).encode())
    return adapter.digest


def test_rows_that_decide_are_a_part_of_what_the_adapter_depends_on(root: Path, local_storage: StorageSpec) -> None:
    first, second = root / "first.jsonl", root / "second.jsonl"
    lines = (root / "chats.jsonl").read_text().splitlines(keepends=True)
    first.write_text("".join(lines[:4]))
    second.write_text("".join(lines[4:8]))

    def digest(rows: Path, **training: Any) -> str:
        data = {
            name: [{"uri": uri_of(path), "format": "messages"}]
            for name, path in (("train", root / "chats.jsonl"), ("eval", rows))
        }
        changes = {"sft__data": data, "sft__training": TRAINING | training}
        return run_prepare(prepare_run_spec(root, local_storage.to_document(), **changes)).sft.stage_digest

    assert digest(first) == digest(second)
    stopping = {"earlyStopping": {}, "evalSteps": 4}
    assert len({digest(first), digest(first, **stopping), digest(second, **stopping)}) == 3


def test_digests_rows_and_steps_are_told_and_nothing_is_left_in_the_output(root: Path, storage: StorageSpec) -> None:
    run_spec = prepare_run_spec(root, storage.to_document())
    result = run_prepare(run_spec)
    assert run_spec.prepare is not None
    base_digest = index_base(FileStore(), f"{uri_of(root)}/base/", None).digest
    expected = {}
    for stage, arm in ((StageName.SFT, run_spec.prepare.sft), (StageName.PREFERENCE, run_spec.prepare.preference)):
        data = digest_sources(open_store(storage), arm.data.train, storage.artifacts_uri)
        digest_of_stage: Any = sft_digest if stage is StageName.SFT else preference_digest
        expected[stage] = ArmPreparation(
            data_digest=data,
            stage_digest=digest_of_stage(arm, base_digest=base_digest, chat_template=None, data=data),
            rows=48,
            total_steps=12,
        )
    assert result.base_digest == base_digest
    assert (result.sft, result.preference) == (expected[StageName.SFT], expected[StageName.PREFERENCE])
    left = [info.uri.removeprefix(storage.artifacts_uri) for info in open_store(storage).list(storage.artifacts_uri)]
    assert {uri.partition("/")[0] for uri in left} == {"index"}
    assert list(root.glob("tmp*")) == []


def test_what_was_read_once_is_not_read_again(
    root: Path, local_storage: StorageSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_spec = prepare_run_spec(root, local_storage.to_document())
    first = run_prepare(run_spec)
    reads: list[str] = []

    class Recording(FileStore):
        def read_range(self, uri: str, start: int, size: int, *, etag: str | None = None) -> bytes:
            reads.append(uri)
            return super().read_range(uri, start, size, etag=etag)

    monkeypatch.setattr(preparation, "open_stage_store", lambda *arguments, **options: Recording())
    assert run_prepare(run_spec) == first
    # Rows are checked anew each time; ranges of the base are hashed once.
    assert {uri.rpartition(".")[2] for uri in reads} == {"jsonl"}


def test_adapters_that_are_there_are_found_and_a_claimed_one_is_finished(root: Path, storage: StorageSpec) -> None:
    run_spec = prepare_run_spec(root, storage.to_document())
    before = run_prepare(run_spec)
    digest = claim_adapter(root, storage, StageName.SFT, before.sft.stage_digest)
    after = run_prepare(run_spec)
    folder = stage_folder(storage.artifacts_uri, StageName.SFT, before.sft.stage_digest)
    assert after.sft.finished == FinishedArtifact(uri=folder, digest=digest)
    assert after.preference.finished is None
    assert read_adapter(open_store(storage), folder, expected_digest=digest)
    changed = prepare_run_spec(root, storage.to_document(), sft__lora={"r": 2})
    assert run_prepare(changed).sft.finished is None


def test_an_adapter_whose_claimed_files_are_gone_is_told_with_what_to_delete(
    root: Path, local_storage: StorageSpec
) -> None:
    run_spec = prepare_run_spec(root, local_storage.to_document())
    digest = run_prepare(run_spec).sft.stage_digest
    claim_adapter(root, local_storage, StageName.SFT, digest)
    folder = stage_folder(local_storage.artifacts_uri, StageName.SFT, digest)
    own = f"{attempt_folder(local_storage.artifacts_uri, StageName.SFT, digest, 'other', 1)}adapter/"
    FileStore().delete(own + ADAPTER_MANIFEST_FILE)
    assert findings_of(run_spec) == [
        (
            "ArtifactMismatch",
            "spec.storage.artifactsUri",
            f"{folder} is claimed for files that are gone: {own}{ADAPTER_MANIFEST_FILE}: there is no such file",
        )
    ]


def test_an_output_of_the_same_recipe_passes_and_one_of_another_does_not(
    root: Path, local_storage: StorageSpec
) -> None:
    run_spec = prepare_run_spec(root, local_storage.to_document())
    assert run_spec.prepare is not None
    merge = run_spec.prepare.merge
    first = run_prepare(run_spec)
    adapters = {
        stage: claim_adapter(root, local_storage, stage, arm.stage_digest)
        for stage, arm in ((StageName.SFT, first.sft), (StageName.PREFERENCE, first.preference))
    }
    recipe = recipe_digest(
        merge,
        merge.output,
        base_digest=first.base_digest,
        sft_adapter=adapters[StageName.SFT],
        preference_adapter=adapters[StageName.PREFERENCE],
    )
    write_claim(FileStore(), merge.output.uri, recipe)
    assert run_prepare(run_spec).sft.finished is not None
    other = prepare_run_spec(root, local_storage.to_document(), merge__method="linear")
    assert findings_of(other) == [
        (
            "ArtifactMismatch",
            "spec.merge.output.uri",
            f"{merge.output.uri} was written by another recipe ({recipe}); outputs are written once and never changed",
        )
    ]


def test_candidates_in_a_claimed_output_are_looked_at_too(root: Path, local_storage: StorageSpec) -> None:
    candidates = [{"name": "halved", "lambda": 0.5}, {"name": "linear", "method": "linear"}]
    run_spec = prepare_run_spec(root, local_storage.to_document(), merge__candidates=candidates)
    assert run_spec.prepare is not None
    merge = run_spec.prepare.merge
    first = run_prepare(run_spec)
    adapters = {
        f"{stage}_adapter": claim_adapter(root, local_storage, stage, arm.stage_digest)
        for stage, arm in ((StageName.SFT, first.sft), (StageName.PREFERENCE, first.preference))
    }
    own, halved, _ = (
        recipe_digest(options, merge.output, base_digest=first.base_digest, **adapters)
        for options in (merge, *merge.candidates)
    )
    store = FileStore()
    write_claim(store, merge.output.uri, own)
    write_claim(store, candidate_folder(merge.output.uri, "halved"), halved)
    assert run_prepare(run_spec)
    folder = candidate_folder(merge.output.uri, "linear")
    store.put(folder + "config.json", b"{}")
    told = f"{folder} is not empty and was not written by PAFT: it holds {folder}config.json"
    assert findings_of(run_spec) == [("ArtifactMismatch", "spec.merge.output.uri", told)]
    write_claim(store, folder, halved)
    told = f"{folder} was written by another recipe ({halved}); outputs are written once and never changed"
    assert findings_of(run_spec) == [("ArtifactMismatch", "spec.merge.output.uri", told)]


def write_claim(store: ObjectStore, folder: str, recipe: str) -> None:
    store.put(folder + CLAIM_FILE, json.dumps({"recipeDigest": recipe}).encode())


def test_an_attempt_is_marked_before_anything_else_and_leaves_its_mark_only_where_it_fails(
    root: Path, storage: StorageSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, uri = open_store(storage), prepare_attempt_marker_uri(storage.artifacts_uri, "uid", 1)
    seen: list[list[str]] = []

    def check(checked: ObjectStore, spec: StorageSpec, probe: str) -> None:
        seen.append([info.uri for info in store.list(storage.artifacts_uri)])
        check_artifact_rights(checked, spec, probe)

    monkeypatch.setattr(preparation, "check_artifact_rights", check)
    findings_of(prepare_run_spec(root, storage.to_document(), sft__training={"globalBatchSize": 64}))
    marker = read_marker(store, uri, "uid-1")
    assert marker is not None
    assert marker.ended is AttemptEnd.FAILED
    told = prepare_run_spec(root, storage.to_document())
    run_prepare(told.model_copy(update={"identity": told.identity.model_copy(update={"attempt": 2})}))
    second = prepare_attempt_marker_uri(storage.artifacts_uri, "uid", 2)
    assert [seen[0], [found for found in seen[1] if "/index/" not in found]] == [[uri], [second]]
    assert {info.uri for info in store.list(storage.artifacts_uri) if "/index/" not in info.uri} == set()
