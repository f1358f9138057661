"""Reports in a real cluster: the pod's account may write its own report and nothing else."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from hack.control_plane import ControlPlane
from hack.control_plane.certificates import CertificateAuthority
from hack.control_plane.client import CONFIG_MAP, SERVICE_ACCOUNT, KubernetesClient
from tests.paft_operator.manifests.golden import SETTINGS, job_of, start_of

from paft_api.causes import CAUSE_FACTS, Cause
from paft_api.report import ReportState, StageReport
from paft_api.run_spec import RunSpec, TerminationMessage
from paft_api.spec import PaftJob
from paft_api.stages import StageName
from paft_operator.manifests.attempt_objects import attempt_objects
from paft_trainer.config_map_reports import ConfigMapReportSink, pod_api_server
from paft_trainer.reporting import Reporter, ReportNotWritten


class Pod:
    """What an attempt's pod has of the cluster: where the API server is, and access to its report."""

    def __init__(self, folder: Path, control_plane: ControlPlane, kubernetes: KubernetesClient, namespace: str) -> None:
        self.run_spec = _run_spec(_applied(kubernetes, namespace), folder)
        self.namespace = namespace
        address = urlsplit(control_plane.server)
        self.environment = {
            "KUBERNETES_SERVICE_HOST": str(address.hostname),
            "KUBERNETES_SERVICE_PORT": str(address.port),
        }
        self.access = folder / "api-access"
        self.access.mkdir()
        authority = kubernetes.wait_for(CONFIG_MAP, "kube-root-ca.crt", namespace, bool)
        (self.access / "ca.crt").write_text(authority["data"]["ca.crt"])
        request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 600}}
        token = kubernetes.post(SERVICE_ACCOUNT, "mistral-merge-1", namespace, "token", request)
        (self.access / "token").write_text(token["status"]["token"])

    def sink(self, config_map: str) -> ConfigMapReportSink:
        return ConfigMapReportSink(
            namespace=self.namespace,
            name=config_map,
            token_file=self.access / "token",
            connect=pod_api_server(self.access),
        )


@pytest.fixture
def pod(
    tmp_path: Path,
    control_plane: ControlPlane,
    kubernetes: KubernetesClient,
    namespace: str,
    monkeypatch: pytest.MonkeyPatch,
) -> Pod:
    """The pod of a merge attempt, whose objects are in the cluster."""
    created = Pod(tmp_path, control_plane, kubernetes, namespace)
    for name, value in created.environment.items():
        monkeypatch.setenv(name, value)
    return created


def test_the_account_may_write_its_own_report(pod: Pod, kubernetes: KubernetesClient) -> None:
    Reporter(pod.run_spec.identity, pod.sink("mistral-merge-1-report")).update(step=3)

    written = _report(kubernetes, pod.namespace)
    assert (written.identity, written.progress.step) == (pod.run_spec.identity, 3)


@pytest.mark.parametrize("name", ["another", "mistral-merge-1", "kube-root-ca.crt"])
def test_the_account_may_write_no_other_config_map(pod: Pod, kubernetes: KubernetesClient, name: str) -> None:
    another = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "another", "namespace": pod.namespace}}
    kubernetes.create(another)
    before = kubernetes.get(CONFIG_MAP, name, pod.namespace)

    with pytest.raises(ReportNotWritten, match=f'403 configmaps "{name}" is forbidden') as refused:
        Reporter(pod.run_spec.identity, pod.sink(name)).update(step=3)

    assert not refused.value.permanent
    assert kubernetes.get(CONFIG_MAP, name, pod.namespace) == before


def test_a_server_of_another_authority_gets_no_token(pod: Pod, kubernetes: KubernetesClient) -> None:
    (pod.access / "ca.crt").write_bytes(CertificateAuthority().certificate)

    with pytest.raises(ReportNotWritten, match="CERTIFICATE_VERIFY_FAILED"):
        Reporter(pod.run_spec.identity, pod.sink("mistral-merge-1-report")).update(step=3)

    assert "data" not in kubernetes.get(CONFIG_MAP, "mistral-merge-1-report", pod.namespace)


@pytest.mark.slow
@pytest.mark.parametrize("index", ["0", "1"])
def test_only_the_first_pod_s_launcher_reports_to_the_cluster(
    pod: Pod, kubernetes: KubernetesClient, tmp_path: Path, index: str
) -> None:
    told = tmp_path / "run_spec.json"
    told.write_text(pod.run_spec.to_json())
    termination = Path(pod.run_spec.termination_path)
    # The kubelet mounts a file there: it has to stay that very file.
    termination.touch()
    mounted = termination.stat().st_ino

    ended = subprocess.run(
        [sys.executable, "-m", "paft_trainer", "merge", "--run-spec", str(told)],
        env={**os.environ, "JOB_COMPLETION_INDEX": index},
        capture_output=True,
        text=True,
        check=False,
    )

    failure = TerminationMessage.model_validate_json(termination.read_text())
    assert failure.cause == Cause.CONFIG_INVALID, ended.stderr
    assert (ended.returncode, termination.stat().st_ino) == (CAUSE_FACTS[Cause.CONFIG_INVALID].exit_code, mounted)
    if index == "0":
        report = _report(kubernetes, pod.namespace)
        assert (report.state, report.identity) == (ReportState.FAILED, pod.run_spec.identity)
        assert report == StageReport.model_validate_json(Path(pod.run_spec.report_path).read_text())
    else:
        assert "data" not in kubernetes.get(CONFIG_MAP, "mistral-merge-1-report", pod.namespace)


def _applied(kubernetes: KubernetesClient, namespace: str) -> dict[str, Any]:
    """Create what a merge attempt has besides its Job; returns its RunSpec ConfigMap."""
    document: Any = job_of("defaults").to_document()
    document["metadata"]["namespace"] = namespace
    job = PaftJob.model_validate_json(json.dumps(document))
    objects = attempt_objects(job, start_of(StageName.MERGE, 1), SETTINGS)[:-1]
    for manifest in objects:
        # Of a PaftJob that is not in the cluster: the garbage collector would take them for orphans.
        del manifest["metadata"]["ownerReferences"]
        kubernetes.apply(manifest, field_manager="paft-operator")
    return objects[0]


def _run_spec(config_map: dict[str, Any], folder: Path) -> RunSpec:
    """The pod's, with the pod's paths in a folder of this machine."""
    document = json.loads(config_map["data"]["run_spec.json"])
    document |= {
        "base": {"uri": f"file://{folder}/no-such-base/"},
        "storage": {"artifactsUri": f"file://{folder}/artifacts/"},
        "reportPath": f"{folder}/paft/report.json",
        "terminationPath": f"{folder}/termination-log",
        "scratchDirectory": f"{folder}/paft/scratch",
        "cacheDirectory": f"{folder}/cache",
    }
    for arm in ("sft", "preference"):
        document["merge"][arm]["uri"] = f"file://{folder}/no-such-adapter/"
    document["reportConfigMap"]["accessDirectory"] = f"{folder}/api-access"
    return RunSpec.model_validate_json(json.dumps(document))


def _report(kubernetes: KubernetesClient, namespace: str) -> StageReport:
    written = kubernetes.get(CONFIG_MAP, "mistral-merge-1-report", namespace)
    return StageReport.model_validate_json(written["data"]["report.json"])
