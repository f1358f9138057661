"""What the merge benchmark runs: valid run specs, peers that merge, a copy that copies, and bytes that are counted."""

import json
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from benchmarks.merge_load.copying import copy_files, copy_objects
from benchmarks.merge_load.counted_merge import Counts, count
from benchmarks.merge_load.measured_run import run_measured
from benchmarks.merge_load.models import write_models
from benchmarks.merge_load.ours import OTHERS, SWEEP, WITH_GOALS, Merge, run_spec
from benchmarks.merge_load.peers import MergekitCache, mergekit_command, peft_command
from benchmarks.merge_load.shapes import START_UP
from tests.merges import folder_bytes, load_checkpoint, reference_deltas

from paft_api.run_spec import RunSpec
from paft_api.spec.storage import StorageSpec
from paft_trainer.storage import open_store
from paft_trainer.storage.file_store import FileStore
from paft_trainer.storage.s3_store import S3Store


@pytest.mark.parametrize("merge", [*WITH_GOALS, *OTHERS, SWEEP], ids=lambda merge: merge.name)
def test_merges_are_what_a_job_may_ask_for(merge: Merge, tmp_path: Path) -> None:
    text = run_spec(merge, "s3://models/", "s3://out/", "s3://artifacts/", attempt=tmp_path, endpoint="http://s3")
    parsed = RunSpec.model_validate_json(text)

    assert parsed.merge is not None
    assert parsed.merge.spec.method == merge.options["method"]
    assert len(parsed.merge.spec.candidates) == merge.checkpoints - 1


@pytest.mark.slow
def test_tools_merge_both_adapters(tmp_path: Path) -> None:
    models, cache = tmp_path / "models", MergekitCache(folder=tmp_path / "cache")
    write_models(models, START_UP)
    output, log = tmp_path / "output", tmp_path / "log.txt"
    commands = {
        "mergekit ties": mergekit_command(models, "ties", cache, output / "mergekit ties"),
        "mergekit linear": mergekit_command(models, "linear", cache, output / "mergekit linear"),
        "peft ties": peft_command(models, "ties", output / "peft ties"),
        "peft linear": peft_command(models, "linear", output / "peft linear"),
    }
    for command in commands.values():
        run_measured(command, log)

    base = load_checkpoint(models / "base")
    arms = [reference_deltas(models / arm) for arm in ("sft", "preference")]
    for name in commands:
        merged = load_checkpoint(output / name)
        assert merged.keys() == base.keys()
        for weight in arms[0]:
            change = (merged[weight].double() - base[weight].double()).numpy()
            # Nothing exact is asked of peers, but that they have both arms in them.
            assert all(np.vdot(change, arm[weight]) > 0.1 * np.vdot(arm[weight], arm[weight]) for arm in arms), name


def test_files_are_copied(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "model.safetensors").write_bytes(bytes(range(256)) * 70_000)
    (tmp_path / "source" / "config.json").write_text("{}")
    copy_files(tmp_path / "source", tmp_path / "target")

    assert folder_bytes(tmp_path / "target") == folder_bytes(tmp_path / "source")
    assert sha256(b"{}").hexdigest() in capsys.readouterr().out


def test_objects_are_copied(s3: StorageSpec, capsys: pytest.CaptureFixture[str]) -> None:
    store, prefix = open_store(s3), s3.artifacts_uri
    assert s3.endpoint is not None
    store.put(f"{prefix}source/model.safetensors", b"weights")
    copy_objects(f"{prefix}source/", f"{prefix}target/", s3.endpoint)

    assert store.read(f"{prefix}target/model.safetensors") == b"weights"
    assert sha256(b"weights").hexdigest() in capsys.readouterr().out


def test_every_byte_through_a_store_is_counted_once(storage: StorageSpec) -> None:
    class CountedFiles(FileStore):
        """So that other tests' stores stay as they are."""

    class CountedObjects(S3Store):
        """The same."""

    counts = Counts()
    count(CountedFiles, counts, puts_through_writer=True)
    count(CountedObjects, counts, puts_through_writer=False)
    store = open_store(storage)
    store = store._stores["s3" if storage.endpoint else "file"]
    store.__class__ = CountedObjects if storage.endpoint else CountedFiles
    written, put, claimed = (f"{storage.artifacts_uri}{name}" for name in ("written", "put", "claimed"))
    with store.open_writer(written) as writer:
        writer.write(b"weights")
        writer.write(memoryview(b"more"))
    store.put(put, b"manifest")
    store.put(claimed, b"claim", only_if_absent=True)
    store.read_range(written, 2, 4)
    store.read_range(written, 0, 2)
    store.read(put)

    assert json.loads(json.dumps(counts.written)) == {written: 11, put: 8, claimed: 5}
    assert counts.read == {written: 6, put: 8}
