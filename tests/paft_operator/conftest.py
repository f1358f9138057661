"""Parts of tests with a real API server: the CRD, jobs, and operators."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from hack.control_plane import ControlPlane
from hack.control_plane.client import CUSTOM_RESOURCE_DEFINITION, KubernetesClient, Object
from tests.paft_operator.cluster_jobs import ClusterJobs
from tests.paft_operator.operator_processes import OperatorProcess

CRD = Path(__file__).parents[2] / "crds" / "paftjobs.paft.dev.yaml"


@pytest.fixture(scope="session")
def definition(kubernetes: KubernetesClient) -> Object:
    """The CRD, installed and served."""
    manifest = yaml.safe_load(CRD.read_text(encoding="utf-8"))
    kubernetes.apply(manifest)
    return kubernetes.wait_for(CUSTOM_RESOURCE_DEFINITION, manifest["metadata"]["name"], None, _is_established)


def _is_established(definition: Object) -> bool:
    conditions = definition.get("status", {}).get("conditions") or []
    return any(one["type"] == "Established" and one["status"] == "True" for one in conditions)


@pytest.fixture
def jobs(kubernetes: KubernetesClient, namespace: str, definition: Object) -> ClusterJobs:
    """PaftJobs of this test."""
    return ClusterJobs(kubernetes, namespace)


@pytest.fixture
def operator(
    control_plane: ControlPlane, definition: Object, namespace: str, tmp_path: Path
) -> Iterator[OperatorProcess]:
    """An operator of this test's namespace, at work."""
    log_file = tmp_path / "operator.log"
    with OperatorProcess(control_plane.kubeconfig, namespaces=[namespace], log_file=log_file) as process:
        process.wait_until_ready()
        yield process
