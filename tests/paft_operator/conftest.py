"""Parts of tests with a real API server: the CRD, jobs, and operators."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hack.control_plane import ControlPlane
from hack.control_plane.client import KubernetesClient, Object
from tests.paft_operator.cluster_jobs import ClusterJobs
from tests.paft_operator.definition import install_definition
from tests.paft_operator.operator_processes import OperatorProcess


@pytest.fixture(scope="session")
def definition(kubernetes: KubernetesClient) -> Object:
    """The CRD, installed and served."""
    return install_definition(kubernetes)


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
