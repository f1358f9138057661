"""An arm's adapter is published once, whoever is killed meanwhile and whoever else is at it."""

from pathlib import Path

import pytest
from tests.merges import FailingStore, Interrupted
from tests.run_specs import arm_run_spec, write_sums
from tests.tiny_models import build_adapter, build_checkpoint

from paft_api.layout import ADAPTER_MANIFEST_FILE, CLAIM_FILE
from paft_api.report import AdapterMetrics, AdapterResult
from paft_trainer.adapters import read_adapter
from paft_trainer.errors import ArtifactMismatch
from paft_trainer.launching.heartbeats import Heartbeat
from paft_trainer.published_adapters import find_published_adapter
from paft_trainer.reporting import Reporter
from paft_trainer.storage import ObjectStore
from paft_trainer.storage.file_store import FileStore, path_of
from paft_trainer.training.adapter_publication import publish_adapter
from paft_trainer.training.arm_session import ArmSession
from paft_trainer.training.stop_signal import StopSignal

METRICS = AdapterMetrics(steps=12, first_loss=2.5, last_loss=1.5)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("publication")
    build_checkpoint(root / "base")
    write_sums(root)
    for seed in (1, 2):
        build_adapter(root / f"adapter-{seed}", root / "base", seed=seed)
    return root


def publish(
    root: Path, artifacts: Path, *, attempt: int = 1, seed: int = 1, store: ObjectStore | None = None
) -> AdapterResult:
    session = session_of(root, artifacts, attempt=attempt, store=store)
    files = {path.name: path.read_bytes() for path in (root / f"adapter-{seed}").iterdir()}
    return publish_adapter(session, files, METRICS)


def session_of(root: Path, artifacts: Path, *, attempt: int = 1, store: ObjectStore | None = None) -> ArmSession:
    run_spec = arm_run_spec("sft", base=root / "base", data=root / "chats.jsonl", artifacts=artifacts, attempt=attempt)
    assert run_spec.sft is not None
    return ArmSession(
        run_spec=run_spec,
        arm=run_spec.sft.spec,
        world=run_spec.sft.world,
        store=store or FileStore(),
        reporter=Reporter(run_spec.identity, None),
        stop_signal=StopSignal(),
        heartbeat=Heartbeat(Path(run_spec.scratch_directory), 0),
    )


def test_the_folder_is_a_peft_adapter_with_a_manifest_of_all_it_came_from(root: Path, tmp_path: Path) -> None:
    result = publish(root, tmp_path)
    session = session_of(root, tmp_path)
    adapter = read_adapter(
        FileStore(),
        result.artifact.uri,
        expected_digest=result.artifact.digest,
        expected_base_digest=session.run_spec.base_digest,
    )
    assert adapter.manifest is not None
    assert set(adapter.manifest) == {
        *("formatVersion", "kind", "stage", "stageDigest", "baseDigest", "digest"),
        *("files", "spec", "versions", "metrics", "sparsity"),
    }
    assert adapter.manifest["spec"] == session.arm.to_document()
    assert adapter.manifest["stageDigest"] == session.stage_digest
    assert set(adapter.manifest["versions"]) == {"paft", "torch", "transformers", "peft", "trl", "deepspeed"}
    assert result == AdapterResult(artifact=result.artifact, adopted=False, **dict(METRICS))


@pytest.mark.parametrize("after", [False, True])
def test_a_kill_at_any_moment_is_made_good_by_the_next_attempt(root: Path, tmp_path: Path, after: bool) -> None:
    whole = FailingStore(FileStore())
    expected = publish(root, tmp_path / "whole", store=whole)
    names = [uri.rpartition("/")[2] for uri in whole.changes]
    assert names[3] == CLAIM_FILE
    assert names[-1] == ADAPTER_MANIFEST_FILE
    for change in range(len(names)):
        artifacts = tmp_path / str(change)
        with pytest.raises(Interrupted):
            publish(root, artifacts, store=FailingStore(FileStore(), fail_at=change, after=after))
        folder = session_of(root, artifacts).stage_folder
        complete = after and change == len(names) - 1
        assert (FileStore().head(folder + ADAPTER_MANIFEST_FILE) is not None) == complete
        found = find_published_adapter(FileStore(), folder)
        claimed = change > 3 or (change == 3 and after)
        assert (found is not None) == claimed
        # The next attempt has other bytes, as at another number of ranks: what was claimed holds.
        result = publish(root, artifacts, attempt=2, seed=2)
        assert result.adopted == claimed
        assert (result.artifact.digest == expected.artifact.digest) == claimed
        assert read_adapter(FileStore(), folder, expected_digest=result.artifact.digest)


def test_who_comes_second_adopts_what_is_published(root: Path, tmp_path: Path) -> None:
    first = publish(root, tmp_path, attempt=1, seed=1)
    second = publish(root, tmp_path, attempt=2, seed=2)
    assert second == first.model_copy(update={"adopted": True})


@pytest.mark.parametrize(
    ("name", "told_by"), [("adapter_model.safetensors", "manifest"), (ADAPTER_MANIFEST_FILE, "claim")]
)
def test_files_that_are_not_what_was_claimed_are_not_published(
    root: Path, tmp_path: Path, name: str, told_by: str
) -> None:
    with pytest.raises(Interrupted):
        publish(root, tmp_path, store=FailingStore(FileStore(), fail_at=3, after=True))
    session = session_of(root, tmp_path)
    file = f"{session.attempt_folder}adapter/{name}"
    path_of(file).write_bytes(path_of(file).read_bytes().replace(b"1", b"2", 1))
    with pytest.raises(ArtifactMismatch) as caught:
        find_published_adapter(FileStore(), session.stage_folder)
    assert caught.value.message == f"{file} is not what its {told_by} says"
    assert f"Delete {session.stage_folder}{CLAIM_FILE}" in caught.value.remedy
    assert FileStore().head(session.stage_folder + ADAPTER_MANIFEST_FILE) is None


@pytest.mark.parametrize(
    ("claim", "message"),
    [
        ('["mine"]', "{claim} is no claim of PAFT: it holds no JSON object"),
        ("mine", "{claim} is no claim of PAFT: it holds no JSON object"),
        ('{"recipe": 1}', "{claim} is no claim of an adapter: it names no source with a manifest"),
    ],
)
def test_a_claim_that_is_none_of_ours_is_told(root: Path, tmp_path: Path, claim: str, message: str) -> None:
    folder = session_of(root, tmp_path).stage_folder
    FileStore().put(folder + CLAIM_FILE, claim.encode())
    with pytest.raises(ArtifactMismatch) as caught:
        find_published_adapter(FileStore(), folder)
    assert caught.value.message == message.replace("{claim}", folder + CLAIM_FILE)
