"""What others see of a merge: nothing before it is whole, the same bytes after any interruption, no foreign folder."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.merges import FailingStore, Interrupted, folder_bytes, folder_uri, merge_run_spec, run_merge
from tests.tiny_models import build_adapter, build_checkpoint

from paft_api.layout import CLAIM_FILE, MERGE_ATTEMPT_PREFIX, MERGE_MANIFEST_FILE, SHARD_RECORD_PREFIX
from paft_api.run_spec import RunSpec
from paft_api.spec.storage import StorageSpec
from paft_trainer.base.index import index_base
from paft_trainer.errors import ArtifactMismatch
from paft_trainer.merge import stage
from paft_trainer.merge.merge_task import MergeTask, PlannedMerge
from paft_trainer.storage import UploadMissing, open_store
from paft_trainer.storage.file_store import FileStore

Spec = Callable[..., RunSpec]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("publication")
    base = build_checkpoint(root / "base", "llama")
    build_adapter(root / "sft", base, seed=1)
    build_adapter(root / "preference", base, seed=2)
    return root


@pytest.fixture
def spec(root: Path, tmp_path: Path) -> Spec:
    def make(output: str = "out", **options: Any) -> RunSpec:
        folders = {name: folder_uri(root / name) for name in ("base", "sft", "preference")}
        options = {"method": "linear", "max_shard_size": "60KB"} | options
        return merge_run_spec(
            **folders, output=folder_uri(tmp_path / output), artifacts=folder_uri(tmp_path / "artifacts"), **options
        )

    return make


@pytest.fixture
def fail_at(monkeypatch: pytest.MonkeyPatch) -> Callable[..., FailingStore]:
    """Lets the next merges fail at a change of the store; returns that store."""

    def install(change: int | None, *, after: bool = False) -> FailingStore:
        store = FailingStore(FileStore(), fail_at=change, after=after)
        monkeypatch.setattr(stage, "open_stage_store", lambda *arguments, **options: store)
        return store

    return install


def test_files_appear_in_the_order_in_which_readers_need_them(
    spec: Spec, tmp_path: Path, fail_at: Callable[..., FailingStore]
) -> None:
    run_merge(spec("warm"))
    store = fail_at(None)
    run_merge(spec())
    names = [uri.removeprefix(folder_uri(tmp_path / "out")) for uri in store.changes]
    names = [name for name in names if not name.startswith((SHARD_RECORD_PREFIX, MERGE_ATTEMPT_PREFIX))]
    weights = [name for name in names if name.endswith(".safetensors")]
    assert len(weights) > 1
    assert names[0] == CLAIM_FILE
    assert names[1 : 1 + len(weights)] == weights
    assert names[-3:] == ["model.safetensors.index.json", "config.json", MERGE_MANIFEST_FILE]


SWEEP: dict[str, Any] = {
    "max_shard_size": "120KB",
    "candidates": [{"name": "over-the-model", "method": "ties", "densityScope": "Model"}],
}


def assert_every_manifest_is_true(folder: Path) -> None:
    """Whoever sees one can verify all it names."""
    for path in folder.rglob(MERGE_MANIFEST_FILE):
        for name, entry in json.loads(path.read_text())["files"].items():
            content = (path.parent / name).read_bytes()
            assert (len(content), hashlib.sha256(content).hexdigest()) == (entry["size"], entry["sha256"])


def tree_bytes(folder: Path) -> dict[str, bytes]:
    """Content of every file below a folder but the claims, which tell whose they are."""
    paths = [path for path in folder.rglob("*") if path.is_file() and path.name != CLAIM_FILE]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


@pytest.mark.parametrize("after", [False, True])
def test_a_sweep_interrupted_anywhere_ends_with_the_same_bytes(
    root: Path, spec: Spec, tmp_path: Path, fail_at: Callable[..., FailingStore], after: bool
) -> None:
    run_merge(spec("warm"))
    changes = fail_at(None)
    expected = run_merge(spec("whole", **SWEEP))
    changed = len(changes.changes)
    content = tree_bytes(tmp_path / "whole")
    manifests = [name for name in content if name.endswith(MERGE_MANIFEST_FILE)]
    assert len(manifests) == 2
    base_digest = index_base(FileStore(), folder_uri(root / "base"), None).digest
    assert all(json.loads(content[name])["base"]["digest"] == base_digest for name in manifests)
    for change in range(changed):
        fail_at(change, after=after)
        output = f"out-{change}"
        with pytest.raises(Interrupted):
            run_merge(spec(output, **SWEEP))
        assert_every_manifest_is_true(tmp_path / output)
        whole = after and change == changed - 1
        fail_at(None)
        result = run_merge(spec(output, **SWEEP))
        assert result.artifact.digest == expected.artifact.digest
        assert result.adopted == whole
        assert result.warnings == expected.warnings
        assert [one.artifact.digest for one in result.candidates] == [
            one.artifact.digest for one in expected.candidates
        ]
        assert tree_bytes(tmp_path / output) == content
        assert_every_manifest_is_true(tmp_path / output)


def test_a_merge_tells_its_warnings_again_when_it_is_adopted(root: Path, spec: Spec, tmp_path: Path) -> None:
    build_adapter(tmp_path / "empty", root / "base", zero=True)
    run_spec = merge_run_spec(
        base=folder_uri(root / "base"),
        sft=folder_uri(root / "sft"),
        preference=folder_uri(tmp_path / "empty"),
        output=folder_uri(tmp_path / "out"),
        artifacts=folder_uri(tmp_path / "artifacts"),
    )
    first, second = run_merge(run_spec), run_merge(run_spec)
    assert second.adopted
    assert first.warnings == second.warnings == ("the preference delta is 0: the merge is of one arm alone",)


def test_a_killed_merge_is_continued(root: Path, spec: Spec, tmp_path: Path) -> None:
    expected = run_merge(spec("whole", method="ties"))
    run_spec = spec(method="ties")
    (tmp_path / "run_spec.json").write_text(run_spec.to_json())
    program = (
        "import sys, time; from pathlib import Path; from paft_api.run_spec import RunSpec\n"
        "from paft_trainer.merge import run; from paft_trainer.reporting import Reporter\n"
        "from paft_trainer.merge.cpu_arithmetic import CpuArithmetic\n"
        "delta = CpuArithmetic.delta\n"
        "CpuArithmetic.delta = lambda *arguments: (time.sleep(0.1), delta(*arguments))[1]\n"
        "run_spec = RunSpec.model_validate_json(Path(sys.argv[1]).read_text())\n"
        "run(run_spec, Reporter(run_spec.identity, None))\n"
    )
    process = subprocess.Popen([sys.executable, "-c", program, str(tmp_path / "run_spec.json")])
    shard = tmp_path / "out" / "model-00001-of-00003.safetensors"
    deadline = time.monotonic() + 60
    while not shard.exists():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "out" / "config.json").exists()
    result = run_merge(run_spec)
    assert not result.adopted
    assert result.artifact.digest == expected.artifact.digest


def test_a_finished_merge_is_adopted_without_reading_the_weights(
    spec: Spec, tmp_path: Path, fail_at: Callable[..., FailingStore]
) -> None:
    first = run_merge(spec())
    before = folder_bytes(tmp_path / "out")
    store = fail_at(None)
    second = run_merge(spec())
    assert second.adopted
    assert second.artifact == first.artifact
    assert second.bytes == first.bytes
    assert (second.merged_tensors, second.copied_tensors) == (first.merged_tensors, first.copied_tensors)
    assert store.changes == []
    assert all(start in (0, 8) for uri, start, _ in store.ranges if "adapter_model" not in uri)
    assert folder_bytes(tmp_path / "out") == before


def test_addresses_may_be_written_without_escapes(root: Path, tmp_path: Path) -> None:
    shutil.copytree(root, tmp_path / "a+b c")
    folders = {
        name: f"file://{tmp_path}/a+b c/{name}/" for name in ("base", "sft", "preference", "output", "artifacts")
    }
    run_spec = merge_run_spec(**folders)
    assert not run_merge(run_spec).adopted
    assert run_merge(run_spec).adopted


def test_a_finished_merge_that_lost_a_file_is_written_again(spec: Spec, tmp_path: Path) -> None:
    first = run_merge(spec())
    (tmp_path / "out" / "model-00002-of-00003.safetensors").unlink()
    second = run_merge(spec())
    assert not second.adopted
    assert second.artifact.digest == first.artifact.digest
    assert (tmp_path / "out" / "model-00002-of-00003.safetensors").exists()


def test_another_address_of_the_same_adapters_continues_the_same_output(
    root: Path, spec: Spec, tmp_path: Path, fail_at: Callable[..., FailingStore]
) -> None:
    run_merge(spec("warm"))
    fail_at(2)
    with pytest.raises(Interrupted):
        run_merge(spec())
    fail_at(None)
    build_adapter(tmp_path / "moved", root / "base", seed=1)
    moved = merge_run_spec(
        base=folder_uri(root / "base"),
        sft=folder_uri(tmp_path / "moved"),
        preference=folder_uri(root / "preference"),
        output=folder_uri(tmp_path / "out"),
        artifacts=folder_uri(tmp_path / "artifacts"),
        method="linear",
        max_shard_size="60KB",
    )
    run_merge(moved)
    card = (tmp_path / "out" / "README.md").read_text()
    assert folder_uri(root / "sft") in card
    assert folder_uri(tmp_path / "moved") not in card


def test_a_foreign_folder_is_never_written_to(spec: Spec, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "model.safetensors").write_bytes(b"somebody's")
    with pytest.raises(ArtifactMismatch) as caught:
        run_merge(spec())
    folder = folder_uri(tmp_path / "out")
    assert caught.value.message == (
        f"{folder} is not empty and was not written by PAFT: it holds {folder}model.safetensors, "
        f"but no {CLAIM_FILE} and no {MERGE_MANIFEST_FILE} of ours"
    )
    assert folder_bytes(tmp_path / "out") == {"model.safetensors": b"somebody's"}


def test_another_recipe_s_output_is_never_written_to(root: Path, spec: Spec, tmp_path: Path) -> None:
    run_merge(spec())
    before = folder_bytes(tmp_path / "out")
    run_merge(spec("other", method="ties"))
    first, other = (json.loads((tmp_path / name / CLAIM_FILE).read_text())["recipeDigest"] for name in ("out", "other"))
    with pytest.raises(ArtifactMismatch) as caught:
        run_merge(spec(method="ties"))
    adapters = f"{folder_uri(root / 'sft')} and {folder_uri(root / 'preference')}"
    assert caught.value.message == (
        f"{folder_uri(tmp_path / 'out')} belongs to another recipe: linear of {adapters} ({first}); "
        f"this one is ties of {adapters} ({other})"
    )
    assert caught.value.remedy == "Choose another merge.output.uri, or delete that folder if nobody needs it."
    assert folder_bytes(tmp_path / "out") == before


def test_an_adapter_s_folder_is_no_output(spec: Spec, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / CLAIM_FILE).write_text(json.dumps({"formatVersion": 1, "source": "x", "digest": "y"}))
    with pytest.raises(ArtifactMismatch, match="belongs to another recipe: one that is no merge"):
        run_merge(spec())


def test_from_s3_to_s3_the_bytes_are_those_of_files(root: Path, s3: StorageSpec, spec: Spec, tmp_path: Path) -> None:
    store = open_store(s3)
    for name in ("base", "sft", "preference"):
        for path in (root / name).iterdir():
            store.put(f"{s3.artifacts_uri}{name}/{path.name}", path.read_bytes())
    folders = {name: f"{s3.artifacts_uri}{name}/" for name in ("base", "sft", "preference")}
    run_spec = merge_run_spec(
        **folders,
        output=f"{s3.artifacts_uri}out/",
        artifacts=f"{s3.artifacts_uri}index/",
        endpoint=s3.endpoint,
        method="ties",
        max_shard_size="60KB",
    )
    in_s3, in_files = run_merge(run_spec), run_merge(spec(method="ties"))
    assert in_s3.recipe_digest == in_files.recipe_digest
    for path in (tmp_path / "out").iterdir():
        if path.name not in ("README.md", CLAIM_FILE, MERGE_MANIFEST_FILE):
            assert store.read(f"{s3.artifacts_uri}out/{path.name}") == path.read_bytes()
    assert run_merge(run_spec).adopted


def test_a_merge_whose_uploads_are_gone_takes_what_somebody_else_has_finished(
    spec: Spec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever finishes first removes the unfinished uploads of all others: the same bytes are there."""
    write = stage.FORMS["Full"]

    def overtaken(task: MergeTask, planned: Sequence[PlannedMerge]) -> None:
        monkeypatch.setitem(stage.FORMS, "Full", write)  # type: ignore[arg-type]
        first = run_merge(spec())
        assert not first.adopted
        raise UploadMissing("the store does not know this upload any more")

    monkeypatch.setitem(stage.FORMS, "Full", overtaken)  # type: ignore[arg-type]
    result = run_merge(spec())
    assert result.adopted
    assert not [path.name for path in (tmp_path / "out").iterdir() if path.name.startswith(".paft-")]


def test_uploads_that_are_gone_are_an_error_while_nobody_has_finished(
    spec: Spec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dropped(task: MergeTask, planned: Sequence[PlannedMerge]) -> None:
        raise UploadMissing("the store does not know this upload any more")

    monkeypatch.setitem(stage.FORMS, "Full", dropped)  # type: ignore[arg-type]
    with pytest.raises(UploadMissing):
        run_merge(spec())
    (marker,) = (tmp_path / "out").glob(".paft-attempt-*")
    assert json.loads(marker.read_text())["ended"] == "Failed"
