"""`paft storage --cluster`: a real API server tells which attempts are over where storage does not prove it."""

import json
from pathlib import Path

import pytest
from hack.control_plane.client import POD, KubernetesClient, Object
from tests.paft_cli.cluster.command_line import CommandLine
from tests.paft_cli.cluster.written_jobs import WrittenJobs, failed, training

from paft_api.labels import JOB_UID, attempt_labels
from paft_api.layout import attempt_folder, attempt_marker_uri, prepare_attempt_marker_uri
from paft_api.run_spec import StageIdentity
from paft_api.stages import StageName
from paft_trainer.keeping.attempt_marker import AttemptMarker, write_marker
from paft_trainer.storage.file_store import FileStore

DIGEST = f"sha256:{'c' * 64}"


def mark(artifacts: str, job: Object, stage: StageName, number: int, *, in_cluster: bool = True) -> str:
    """An attempt of this job that wrote no end; its name."""
    metadata = job["metadata"]
    identity = StageIdentity(
        job_name=metadata["name"],
        job_namespace=metadata["namespace"],
        job_uid=metadata["uid"],
        generation=1,
        stage=stage,
        attempt=number,
    )
    uri = prepare_attempt_marker_uri(artifacts, identity.job_uid, number)
    if stage is not StageName.PREPARE:
        uri = attempt_marker_uri(attempt_folder(artifacts, stage, DIGEST, identity.job_uid, number))
    marker = AttemptMarker.begin(identity, in_cluster=in_cluster)
    write_marker(FileStore(), uri, marker)
    return marker.name


def over(paft: CommandLine, artifacts: str, *options: str) -> dict[str, str | None]:
    """Why each attempt is over, by its name."""
    ended = paft("storage", "ls", artifacts, "--output", "json", *options)
    assert ended.code == 0, ended.err
    folders = json.loads(ended.out)["folders"]
    return {one["name"]: one.get("over") for folder in folders for one in folder["attempts"]}


def pod_of(kubernetes: KubernetesClient, job: Object, stage: StageName, number: int) -> Object:
    """A pod as the operator labels it; on no node it is Pending for good."""
    metadata = job["metadata"]
    labels = attempt_labels(metadata["name"], stage, number) | {JOB_UID: metadata["uid"]}
    manifest = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": f"{stage}-{number}", "namespace": metadata["namespace"], "labels": labels},
        "spec": {"containers": [{"name": "stage", "image": "none"}], "automountServiceAccountToken": False},
    }
    return kubernetes.create(manifest)


@pytest.mark.slow
def test_the_cluster_tells_what_storage_does_not_prove(
    paft: CommandLine, written: WrittenJobs, kubernetes: KubernetesClient, tmp_path: Path
) -> None:
    artifacts = f"file://{tmp_path}/artifacts/"
    running, broken = written.create(training(), name="running"), written.create(failed(), name="broken")
    gone, replaced = written.create(name="gone"), written.create(name="replaced")
    earlier = mark(artifacts, running, StageName.SFT, 1)
    goes_on = mark(artifacts, running, StageName.PREFERENCE, 1)
    given_up, with_pod = mark(artifacts, broken, StageName.SFT, 2), mark(artifacts, gone, StageName.PREPARE, 1)
    before = mark(artifacts, replaced, StageName.SFT, 1)
    elsewhere = mark(artifacts, gone, StageName.SFT, 7, in_cluster=False)
    for name in ("gone", "replaced"):
        written.delete(name)
    written.create(training(), name="replaced")
    pod_of(kubernetes, gone, StageName.PREPARE, 1)
    names = (earlier, goes_on, given_up, with_pod, before, elsewhere)

    assert over(paft, artifacts) == dict.fromkeys(names)
    space = written.namespace
    told = {
        earlier: f"PaftJob {space}/running is at attempt 2 of sft, and it has no pod",
        goes_on: None,
        given_up: f"PaftJob {space}/broken has failed, and it has no pod",
        with_pod: None,
        before: f"PaftJob {space}/replaced of this uid is gone from the cluster, and it has no pod",
        elsewhere: None,
    }
    assert over(paft, artifacts, "--cluster") == told
    kubernetes.delete(POD, "prepare-1", space, grace_seconds=0)
    assert over(paft, artifacts, "--cluster") == told | {
        with_pod: f"PaftJob {space}/gone of this uid is gone from the cluster, and it has no pod"
    }
    collected = paft("storage", "gc", artifacts, "--cluster", "--output", "json")
    removed = [item["uri"] for item in json.loads(collected.out)["removed"]]
    assert removed == [f"{artifacts}prepare/{with_pod}.json"]


def test_a_context_is_for_a_cluster_that_is_asked(paft: CommandLine, tmp_path: Path) -> None:
    ended = paft("storage", "ls", str(tmp_path), "--context", "other")
    assert (ended.code, ended.err.strip()) == (2, "--context is for --cluster")
    ended = paft("storage", "ls", str(tmp_path), "--cluster", "--context", "other")
    assert ended.code == 2
    assert "has no context other" in ended.err
