"""What an operator says that cannot work."""

import copy
from pathlib import Path

import pytest
from hack import control_plane as control_planes
from hack.control_plane import ControlPlane, Settings
from hack.control_plane.client import KubernetesClient, Object
from tests.paft_operator.cluster_jobs import ClusterJobs, minimal_job, wait_until
from tests.paft_operator.operator_processes import OperatorProcess

pytestmark = pytest.mark.slow


def test_bad_settings_end_it_with_words(control_plane: ControlPlane, tmp_path: Path) -> None:
    operator = OperatorProcess(
        control_plane.kubeconfig, namespaces=["default"], log_file=tmp_path / "operator.log", workers="many"
    )
    with operator:
        assert operator.process.wait(30) == 2

    assert (tmp_path / "operator.log").read_text(encoding="utf-8").startswith("--workers (PAFT_OPERATOR_WORKERS)")


@pytest.mark.timeout(180)
def test_a_definition_that_is_too_old_is_told(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path, definition: Object
) -> None:
    """With a control plane of its own: the definition is shared by all tests."""
    older = copy.deepcopy({name: definition[name] for name in ("apiVersion", "kind", "spec")})
    older["metadata"] = {"name": definition["metadata"]["name"]}
    properties = older["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
    del properties["status"]["properties"]["activeSeconds"]
    log_file = tmp_path / "operator.log"
    with (
        control_planes.running(Settings(directory=tmp_path_factory.mktemp("older"))) as own,
        KubernetesClient(own.kubeconfig) as client,
        OperatorProcess(own.kubeconfig, namespaces=["default"], log_file=log_file) as operator,
    ):
        wait_until(lambda: operator.get("/readyz")[1].startswith("the CustomResourceDefinition of paftjobs"))
        client.apply(older)
        operator.wait_until_leading()
        ClusterJobs(client, "default").create(minimal_job())

        expected = "the CustomResourceDefinition is older than this operator"
        wait_until(lambda: any(expected in line["message"] for line in operator.log))
