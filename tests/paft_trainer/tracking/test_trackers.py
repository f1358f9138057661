"""Trackers against their real libraries: event files, W&B offline, and MLflow's store of files."""

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.event_files import events, scalars
from tests.run_specs import arm_run_spec, write_sums
from tests.tiny_models import build_checkpoint

from paft_api.run_spec import RunSpec
from paft_trainer.tracking.mlflow_run import flattened
from paft_trainer.tracking.trackers import open_trackers
from paft_trainer.tracking.uploads import INTERVAL_SECONDS, FolderUpload

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("tracking")
    build_checkpoint(root / "base", "llama")
    write_sums(root)
    return root


def told(root: Path, artifacts: Path, *, attempt: int = 1, tracking: dict[str, Any] | None = None) -> RunSpec:
    run_spec = arm_run_spec("sft", base=root / "base", data=root / "chats.jsonl", artifacts=artifacts, attempt=attempt)
    document = json.loads(run_spec.to_json()) | ({"tracking": tracking} if tracking else {})
    return RunSpec.model_validate_json(json.dumps(document))


def folder(artifacts: Path) -> Path:
    return artifacts / "tracking" / "test-uid"


def test_a_resumed_attempt_goes_on_in_the_run_of_its_event_files(root: Path, tmp_path: Path) -> None:
    for attempt, first_step, last_step in ((1, 0, 5), (2, 3, 6)):
        run_spec = told(root, tmp_path, attempt=attempt)
        with open_trackers(run_spec, first_step=first_step, configuration={"lora": {"r": 4}}) as trackers:
            for step in range(first_step + 1, last_step + 1):
                trackers.log({"train/loss": step + attempt / 10}, step)

    run = folder(tmp_path) / "tensorboard" / "sft"
    assert scalars(run)["train/loss"] == [
        (step, pytest.approx(step + attempt / 10)) for step, attempt in ((1, 1), (2, 1), (3, 1), (4, 2), (5, 2), (6, 2))
    ]
    (first, *_), (second, *_) = (list(events(path)) for path in sorted(run.iterdir()))
    assert first.file_version == second.file_version == "brain.Event:2"
    texts = [
        value.tensor.string_val[0]
        for path in run.iterdir()
        for one in events(path)
        for value in one.summary.value
        if value.tensor.string_val
    ]
    assert all(b'"r": 4' in text for text in texts)
    assert len(texts) == 2


def test_a_failed_attempt_leaves_what_it_told(root: Path, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), open_trackers(told(root, tmp_path), first_step=0, configuration={}) as trackers:
        trackers.log({"train/loss": 1.0}, 1)
        raise RuntimeError

    assert scalars(folder(tmp_path) / "tensorboard" / "sft") == {"train/loss": [(1, 1.0)]}


def test_a_run_of_wandb_that_is_offline_is_uploaded_as_a_folder(root: Path, tmp_path: Path) -> None:
    wandb_internal = pytest.importorskip("wandb.proto.wandb_internal_pb2")
    tracking = {"wandb": {"project": "sums", "mode": "offline", "tags": ["tiny"]}}

    with open_trackers(told(root, tmp_path, tracking=tracking), first_step=0, configuration={"r": 4}) as trackers:
        for step in (1, 2):
            trackers.log({"train/loss": 1.5 / step}, step)

    (file,) = folder(tmp_path).glob("wandb/sft/wandb/offline-run-*/run-*.wandb")
    records = [wandb_internal.Record.FromString(content) for content in wandb_records(file.read_bytes())]
    (run,) = (record.run for record in records if record.HasField("run"))
    assert (run.project, run.run_id, run.run_group, run.job_type) == ("sums", "uid-sft", "test-uid", "sft")
    assert list(run.tags) == ["tiny"]
    rows = [
        {
            item.nested_key[0] if item.nested_key else item.key: json.loads(item.value_json)
            for item in record.history.item
        }
        for record in records
        if record.HasField("history")
    ]
    assert [(row["step"], row["train/loss"]) for row in rows] == [(1, 1.5), (2, 0.75)]


def wandb_records(content: bytes) -> Iterator[bytes]:
    """Of a .wandb file: 7 bytes of header, then LevelDB's log format, in blocks of 32 KiB."""
    place, parts = 7, b""
    while place < len(content):
        if 32768 - place % 32768 < 7:
            place += 32768 - place % 32768
            continue
        _, length, kind = struct.unpack_from("<IHB", content, place)
        parts += content[place + 7 : place + 7 + length]
        place += 7 + length
        # Whole, or the last part.
        if kind in (1, 4):
            yield parts
            parts = b""


def test_a_run_of_mlflow_without_a_server_is_uploaded_as_a_store(root: Path, tmp_path: Path) -> None:
    tracking_module = pytest.importorskip("mlflow.tracking")
    tracking = {"mlflow": {"experiment": "sums"}}

    with open_trackers(
        told(root, tmp_path, tracking=tracking), first_step=0, configuration={"lora": {"r": 4}}
    ) as trackers:
        for step in (1, 2):
            trackers.log({"train/loss": 1.5 / step}, step)

    client = tracking_module.MlflowClient(tracking_uri=(folder(tmp_path) / "mlflow" / "sft-1").as_uri())
    experiment = client.get_experiment_by_name("sums")
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FINISHED"
    assert run.data.params == {"lora.r": "4"}
    assert run.data.tags["paft.group"] == "test-uid"
    history = client.get_metric_history(run.info.run_id, "train/loss")
    assert [(metric.step, metric.value) for metric in history] == [(1, 1.5), (2, 0.75)]


def test_a_tracker_that_breaks_is_told_once_and_stops_nothing(
    root: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("mlflow.tracking")
    tracking = {"mlflow": {"trackingUri": "http://127.0.0.1:9"}}

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        with open_trackers(told(root, tmp_path, tracking=tracking), first_step=0, configuration={}) as trackers:
            trackers.log({"train/loss": 1.0}, 1)

    assert capfd.readouterr().out.count("mlflow is told nothing more: ") == 1
    assert scalars(folder(tmp_path) / "tensorboard" / "sft") == {"train/loss": [(1, 1.0)]}


def test_files_are_uploaded_while_they_grow_and_only_when_they_have_changed(tmp_path: Path) -> None:
    puts: list[str] = []

    class Store:
        def put(self, uri: str, data: bytes) -> None:
            puts.append(f"{uri} {len(data)}")

    now = [0.0]
    local = tmp_path / "local"
    local.mkdir()
    upload = FolderUpload(lambda: Store(), local, "file:///there/", clock=lambda: now[0])  # type: ignore[arg-type,return-value]
    (local / "a").write_text("1")
    assert not upload.is_due()
    now[0] = INTERVAL_SECONDS
    assert upload.is_due()
    upload.begin()
    assert not upload.is_due()
    (local / "b").write_text("12")
    upload.finish()

    assert puts == ["file:///there/a 1", "file:///there/b 2"]


def test_a_documents_values_have_their_paths_as_names() -> None:
    document = {"lora": {"r": 4, "targetModules": ["q_proj"]}, "l1": {"mode": "none"}}

    assert dict(flattened(document)) == {"lora.r": "4", "lora.targetModules": "['q_proj']", "l1.mode": "none"}


def test_a_map_of_patterns_is_a_value() -> None:
    ranks = {r"layers\.1\.mlp\..*": 6}
    assert dict(flattened({"lora": {"rankPattern": ranks, "alphaPattern": {"q_proj": 3}}})) == {
        "lora.rankPattern": str(ranks),
        "lora.alphaPattern.q_proj": "3",
    }
