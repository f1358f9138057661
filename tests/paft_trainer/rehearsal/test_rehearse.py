"""What a dry run foretells, against the merge that follows it."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.merges import (
    FailingStore,
    Interrupted,
    folder_uri,
    load_checkpoint,
    merge_run_spec,
    run_merge,
    write_adapter_manifest,
)
from tests.tiny_models import build_adapter, build_checkpoint

from paft_api.layout import CLAIM_FILE, MERGE_MANIFEST_FILE
from paft_api.rehearsal import FolderState, Rehearsal
from paft_api.run_spec import RunSpec
from paft_trainer.adapters import Adapter, Factors
from paft_trainer.base.index import index_base
from paft_trainer.checkpoint_files import INDEX_FILE, CheckpointFiles
from paft_trainer.errors import ArtifactMismatch
from paft_trainer.merge import stage
from paft_trainer.merge.inputs import BaseTensors, MergeInputs
from paft_trainer.merge.output import INTERFERENCE_FILE
from paft_trainer.merge.shards import SourceTensor
from paft_trainer.rehearsal.rehearse import rehearse
from paft_trainer.rehearsal.sample import sampled_tensors
from paft_trainer.safetensors_files import TensorEntry
from paft_trainer.storage.file_store import FileStore

OTHER = "sha256:" + "0" * 64
CANDIDATES = (
    {"name": "arc", "method": "slerp"},
    {"name": "whole", "method": "ties", "density": 0.2, "densityScope": "Model"},
)

Spec = Callable[..., RunSpec]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base of two layers in several shards, and two adapters on different modules."""
    root = tmp_path_factory.mktemp("rehearsal")
    base = build_checkpoint(root / "base", "llama", dtype=torch.bfloat16, max_shard_size="30KB")
    build_adapter(root / "sft", base, seed=1)
    build_adapter(root / "preference", base, r=3, seed=2, target_modules=["q_proj", "down_proj"])
    return root


@pytest.fixture
def spec(root: Path, tmp_path: Path) -> Spec:
    """RunSpecs of ties and two candidates into tmp_path/out, in shards of 30 kB. `output`: more fields of it."""

    def make(output: dict[str, Any] | None = None, **folders: Path) -> RunSpec:
        inputs = {name: folder_uri(folders.get(name, root / name)) for name in ("base", "sft", "preference")}
        places = {"output": folder_uri(tmp_path / "out"), "artifacts": folder_uri(tmp_path / "artifacts")}
        run_spec = merge_run_spec(**inputs | places, method="ties", density=0.3, max_shard_size="30KB")
        document = json.loads(run_spec.to_json())
        if output is None:
            document["merge"]["spec"]["candidates"] = CANDIDATES
        document["merge"]["spec"]["output"] |= output or {}
        return RunSpec.model_validate_json(json.dumps(document))

    return make


def rehearsed(run_spec: RunSpec) -> Rehearsal:
    """A dry run, which must not write anything where the merge would."""
    assert run_spec.merge is not None
    folder = Path(run_spec.merge.spec.output.uri.removeprefix("file://"))
    before = _files(folder.parent)
    rehearsal = rehearse(run_spec, tell=print)
    assert _files(folder.parent) == before
    return Rehearsal.model_validate_json(rehearsal.to_json())


def _files(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def weights_and_copies(folder: Path) -> int:
    """Bytes of a merge's files that dry runs count."""
    own = ("README.md", INTERFERENCE_FILE, MERGE_MANIFEST_FILE, INDEX_FILE, CLAIM_FILE)
    return sum(path.stat().st_size for path in folder.iterdir() if path.is_file() and path.name not in own)


def test_sizes_digests_and_figures_are_those_of_the_merge(spec: Spec, tmp_path: Path) -> None:
    run_spec = spec()
    rehearsal = rehearsed(run_spec)
    result = run_merge(run_spec)

    assert (rehearsal.merged_tensors, rehearsal.copied_tensors) == (result.merged_tensors, result.copied_tensors)
    assert [one.name for one in rehearsal.merges] == [None, "arc", "whole"]
    for one in rehearsal.merges:
        folder = Path(one.uri.removeprefix("file://"))
        manifest, report = (
            json.loads((folder / name).read_text()) for name in (MERGE_MANIFEST_FILE, INTERFERENCE_FILE)
        )
        assert one.state is FolderState.FREE
        assert one.recipe_digest == manifest["claimedDigest"]
        assert one.shards == one.shards_left == len(list(folder.glob("model-*.safetensors"))) > 1
        assert one.bytes_written == weights_and_copies(folder)
        # Two layers are a whole sample, so that every figure is the merge's.
        assert one.sampled is not None
        assert one.sampled.to_document() == {key: value for key, value in report["model"].items() if value is not None}
        assert [layer.layer for layer in one.layers] == [0, 1]
        assert list(one.warnings) == report["warnings"]
    assert rehearsal.bytes_written == sum(one.bytes_written for one in rehearsal.merges)


def test_the_estimate_is_the_sample_s_speed_and_says_what_it_is_not(root: Path, spec: Spec) -> None:
    rehearsal = rehearsed(spec())
    sample = rehearsal.sample
    assert sample is not None
    assert (sample.layers, sample.tensors) == ((0, 1), 14)
    base = load_checkpoint(root / "base")
    largest = base["model.embed_tokens.weight"]
    assert sample.copied_bytes == largest.numel() * 2
    copied = sum(one.numel() * 2 for one in base.values()) - sample.merged_bytes
    expected = sample.merged_seconds + sample.copied_seconds * copied / sample.copied_bytes
    assert rehearsal.seconds == pytest.approx(expected)
    assert rehearsal.peak_memory_bytes is not None
    notes = "\n".join(rehearsal.notes)
    assert "Not included are the speed of writing" in notes
    assert "densityScope Model (whole): thresholds here are those of the sample's entries" in notes
    assert "(the merge itself)" not in notes


@pytest.mark.parametrize(
    ("names", "layers", "sampled"),
    [
        ([f"model.layers.{layer}.mlp.up_proj" for layer in range(9)], (0, 4, 8), [0, 4, 8]),
        ([f"model.layers.{layer}.mlp.up_proj" for layer in (3, 5)], (3, 5), [0, 1]),
        (["lm_head"], (), [0]),
    ],
)
def test_the_sample_is_first_middle_and_last(names: list[str], layers: tuple[int, ...], sampled: list[int]) -> None:
    entry = {"dtype": "BF16", "shape": (4, 4), "start": 0, "size": 32}
    tensors = [
        SourceTensor(uri="file:///base/model.safetensors", entry=TensorEntry(name=f"{name}.weight", **entry))
        for name in (*names, "model.layers.1.mlp.gate_proj", "model.norm")
    ]
    factors = Factors(a=torch.ones(1, 4), b=torch.ones(4, 1), scale=1.0)
    adapter = Adapter(uri="file:///adapter/", digest=OTHER, modules=dict.fromkeys(names, factors), manifest=None)
    files = CheckpointFiles(weights=("model.safetensors",), others=())
    inputs = MergeInputs(
        base=BaseTensors(files=files, tensors=tuple(tensors), tied=False),
        base_digest=None,
        listing_digest=OTHER,
        adapters={"sft": adapter, "preference": adapter},
    )
    assert sampled_tensors(inputs) == (layers, tuple(tensors[place] for place in sampled))


def test_an_interrupted_merge_has_less_left(spec: Spec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_spec = spec({})
    whole = rehearsed(run_spec)
    changes = FailingStore(FileStore())
    with monkeypatch.context() as patched:
        patched.setattr(stage, "open_stage_store", lambda *arguments, **options: changes)
        run_merge(spec({"uri": folder_uri(tmp_path / "other")}))
        second = [name.rpartition("/")[2] for name in changes.changes].index("model-00002-of-00003.safetensors")
        failing = FailingStore(FileStore(), fail_at=second)
        patched.setattr(stage, "open_stage_store", lambda *arguments, **options: failing)
        with pytest.raises(Interrupted):
            run_merge(run_spec)

    (begun,) = rehearsed(run_spec).merges
    shard = (tmp_path / "out" / "model-00001-of-00003.safetensors").stat().st_size
    assert (begun.state, begun.shards, begun.shards_left) == (FolderState.BEGUN, 3, 2)
    assert begun.bytes_compared == shard
    assert begun.bytes_written == whole.bytes_written - shard

    run_merge(run_spec)
    finished = rehearsed(run_spec)
    assert finished.merges[0].state is FolderState.FINISHED
    assert (finished.bytes_written, finished.sample, finished.seconds) == (0, None, None)
    assert finished.notes == ("Every folder has its merge already; a merge would write nothing.",)


def test_folders_that_cannot_be_had_are_refused(spec: Spec, tmp_path: Path) -> None:
    candidate = tmp_path / "out" / "candidates" / "arc"
    candidate.mkdir(parents=True)
    (candidate / "mine.txt").write_text("mine")
    with pytest.raises(ArtifactMismatch, match="is not empty and was not written by PAFT"):
        rehearsed(spec({}))
    (candidate / "mine.txt").unlink()
    run_merge(spec({}))
    with pytest.raises(ArtifactMismatch, match="belongs to another recipe: ties of"):
        rehearsed(spec({"maxShardSize": "1GB"}))


def test_adapters_that_do_not_fit_are_refused(root: Path, spec: Spec, tmp_path: Path) -> None:
    wider = build_checkpoint(tmp_path / "wider", "llama", hidden_size=64)
    adapter = build_adapter(tmp_path / "adapter", wider, target_modules=["v_proj"])
    with pytest.raises(ArtifactMismatch, match="has a ΔW of shape"):
        rehearsed(spec(preference=adapter))


def test_a_base_that_nobody_has_read_is_not_read(root: Path, spec: Spec, tmp_path: Path) -> None:
    base_uri = folder_uri(root / "base")
    digest = index_base(FileStore(), base_uri, None).digest
    adapter = shutil.copytree(root / "sft", tmp_path / "adapter")
    plain = rehearsed(spec({}))
    write_adapter_manifest(adapter, base_digest=digest)
    unread = rehearsed(spec({}, sft=adapter))
    weights = sum(tensor.numel() * 2 for tensor in load_checkpoint(root / "base").values())
    assert unread.bytes_read == plain.bytes_read + weights
    assert f"An adapter was trained on the base {digest}. Nobody has read {base_uri} here yet" in "".join(unread.notes)

    index_base(FileStore(), base_uri, folder_uri(tmp_path / "artifacts"))
    known = rehearsed(spec({}, sft=adapter))
    assert known.bytes_read == plain.bytes_read
    assert known.merges[0].recipe_digest == unread.merges[0].recipe_digest != plain.merges[0].recipe_digest
    write_adapter_manifest(adapter, base_digest=OTHER)
    with pytest.raises(ArtifactMismatch, match="was trained on the base"):
        rehearsed(spec({}, sft=adapter))


@pytest.mark.parametrize(
    ("output", "written"), [({"form": "Recipe"}, 0), ({"form": "Adapter"}, 7), ({"form": "Adapter", "rank": 5}, 5)]
)
def test_other_forms_write_less(root: Path, spec: Spec, output: dict[str, Any], written: int) -> None:
    rehearsal = rehearsed(spec(output))
    base = load_checkpoint(root / "base")
    sides = {name: sum(tensor.shape) for name, tensor in base.items() if tensor.dim() == 2}
    changed_by_both = ("q_proj.weight", "down_proj.weight")
    expected = sum(
        4 * side * min(7 if name.endswith(changed_by_both) else 4, written)
        for name, side in sides.items()
        if "layers" in name
    )
    assert rehearsal.bytes_written == expected
    assert (rehearsal.merges[0].shards, rehearsal.seconds) == (0, None)
    assert rehearsal.sample is not None
    assert f"Time and memory are not estimated for the form {output['form']}." in rehearsal.notes
