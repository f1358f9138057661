"""What a Secret holds is in the Secret alone: in no other object of the cluster, no log and no file of a stage."""

import base64
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hack.control_plane.client import EVENT, POD, Kind, KubernetesClient, Object
from tests.kubelet_stand_in import KubeletStandIn
from tests.paft_operator.cluster_jobs import CHILDREN, PAFT_JOB, ClusterJobs, condition, minimal_job
from tests.paft_operator.operator_processes import OperatorProcess
from tests.planted_secrets import PLANTED, command_lines, files_below, leaks
from tests.played_pods import PlayedPod

from paft_api.report import StageReport
from paft_api.run_spec import RunSpec, TerminationMessage
from paft_api.spec.storage import StorageSpec
from paft_api.stage_pods import CREDENTIALS_DIRECTORY

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

SECRET = Kind("v1", "Secret")


@pytest.fixture
def planted(kubernetes: KubernetesClient, namespace: str) -> Object:
    """A Secret with keys that the object store refuses."""
    metadata = {"name": "planted", "namespace": namespace}
    return kubernetes.create({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": PLANTED})


def test_a_refused_secret_is_told_nowhere(
    kubernetes: KubernetesClient,
    jobs: ClusterJobs,
    operator: OperatorProcess,
    planted: Object,
    s3: StorageSpec,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in PLANTED:
        monkeypatch.delenv(name, raising=False)
    node = Node(kubernetes, tmp_path / "node")
    manifest = minimal_job()
    manifest["spec"]["base"] = {"uri": "s3://models/tiny/", "secretRef": {"name": "planted"}}
    manifest["spec"]["storage"] = s3.to_document() | {"secretRef": {"name": "planted"}}

    with command_lines() as lines, KubeletStandIn(kubernetes, namespace=jobs.namespace) as kubelet:
        kubelet.play(node.run)
        jobs.create(manifest)
        job = jobs.wait_for_phase("Failed", seconds=120)

    assert condition(job["status"], "Failed")["reason"] == "StorageAuth"
    assert node.mounted == PLANTED
    kinds = (PAFT_JOB, *CHILDREN, POD, EVENT)
    objects = {
        f"{kind.kind} {one['metadata']['name']}": json.dumps(one).encode()
        for kind in kinds
        for one in kubernetes.list(kind, jobs.namespace)
    }
    assert {name.partition(" ")[0] for name in objects} >= {"PaftJob", "Job", "Pod", "ConfigMap", "Event"}
    logs = {"operator": (tmp_path / "operator.log").read_bytes(), "stage": node.log.read_bytes()}
    assert b"StorageAuth" in logs["stage"]
    written = files_below(node.folder / "files")
    assert written
    assert leaks(PLANTED.values(), objects | logs | written | lines) == {}
    stored = json.dumps(kubernetes.get(SECRET, "planted", jobs.namespace)).encode()
    assert leaks(PLANTED.values(), {"Secret": stored})


class Node:
    """Runs a stage's program as a kubelet does: with the Secrets of its volume as files, the rest in `files`."""

    def __init__(self, client: KubernetesClient, folder: Path) -> None:
        self._client = client
        self.folder = folder
        self.log = folder / "log.txt"
        self.mounted: dict[str, str] = {}

    def run(self, pod: PlayedPod) -> Iterator[float]:
        """The script of a pod."""
        pod.schedule()
        pod.start()
        told = self._told(pod)
        yield 0.0
        with self.log.open("ab") as log:
            code = subprocess.run(
                [sys.executable, "-P", "-m", "paft_trainer", told.identity.stage, "--run-spec", self._run_spec_file],
                env={name: value for name, value in os.environ.items() if not name.startswith("AWS_")},
                stdout=log,
                stderr=log,
                check=False,
            ).returncode
        pod.write_report(StageReport.model_validate_json(Path(told.report_path).read_text()))
        message = TerminationMessage.model_validate_json(Path(told.termination_path).read_text())
        pod.fail(code, message=message.to_json())

    @property
    def _run_spec_file(self) -> str:
        return str(self.folder / "files" / "run_spec.json")

    def _told(self, pod: PlayedPod) -> RunSpec:
        """The RunSpec with paths of this machine, where everything that it names is."""
        files, credentials = self.folder / "files", self.folder / "credentials"
        files.mkdir(parents=True)
        self._mount(pod, credentials)
        document = pod.run_spec.to_document()
        del document["reportConfigMap"]
        document |= {
            "reportPath": str(files / "report.json"),
            "terminationPath": str(files / "termination.json"),
            "scratchDirectory": str(files / "scratch"),
            "cacheDirectory": str(files / "cache"),
        }
        text = json.dumps(document).replace(CREDENTIALS_DIRECTORY, str(credentials))
        Path(self._run_spec_file).write_text(text)
        return RunSpec.model_validate_json(text)

    def _mount(self, pod: PlayedPod, target: Path) -> None:
        volumes: list[dict[str, Any]] = pod.object["spec"]["volumes"]
        (volume,) = [one for one in volumes if one["name"] == "credentials"]
        for source in volume["projected"]["sources"]:
            secret = self._client.get(SECRET, source["secret"]["name"], pod.namespace)
            for item in source["secret"]["items"]:
                value = base64.b64decode(secret["data"][item["key"]]).decode()
                self.mounted[item["key"]] = value
                path = target / item["path"]
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(value)
