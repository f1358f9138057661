"""The real helm, and a control plane of its own for tests that install: the chart owns the CRD there."""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from hack import control_plane as control_planes
from hack.control_plane import ControlPlane, ControlPlaneError, ProgramsMissing, Settings
from hack.control_plane.client import CUSTOM_RESOURCE_DEFINITION, NAMESPACE, KubernetesClient
from hack.control_plane.programs import find_or_build
from tests.helm.helm_program import CRD_NAME, RELEASE, Cluster, Helm, is_established

PROGRAMS = ("helm", "etcd", "kube-apiserver", "kube-controller-manager", "kubectl")


def pytest_collection_finish(session: pytest.Session) -> None:
    """Build missing programs before the first test: it takes minutes, which would count as that test's time."""
    if session.config.option.collectonly or not any(
        "helm" in getattr(item, "fixturenames", ()) for item in session.items
    ):
        return
    capture = session.config.pluginmanager.getplugin("capturemanager")
    try:
        with capture.global_and_fixture_disabled():
            find_or_build(PROGRAMS)
    except ControlPlaneError:
        # The fixture meets the same error, and makes it the result of each test that needs helm.
        return


@pytest.fixture(scope="session")
def helm(tmp_path_factory: pytest.TempPathFactory) -> Helm:
    """Helm without a cluster. Where it cannot be had, tests are skipped, or fail with `CI=true`."""
    return Helm(program=_program("helm"), home=tmp_path_factory.mktemp("helm"))


@pytest.fixture(scope="session")
def cluster_of_charts(tmp_path_factory: pytest.TempPathFactory, helm: Helm) -> Iterator[ControlPlane]:
    """A control plane that knows the Prometheus operator's kinds."""
    with control_planes.running(Settings(directory=tmp_path_factory.mktemp("control-plane"))) as running:
        with KubernetesClient(running.kubeconfig) as kubernetes:
            text = (Path(__file__).parent / "monitoring_crds.yaml").read_text(encoding="utf-8")
            for crd in yaml.safe_load_all(text):
                kubernetes.apply(crd)
                kubernetes.wait_for(CUSTOM_RESOURCE_DEFINITION, crd["metadata"]["name"], None, is_established)
        yield running


@pytest.fixture
def cluster(cluster_of_charts: ControlPlane, helm: Helm) -> Iterator[Cluster]:
    """A namespace for one release; release and CRD are gone afterwards."""
    with _place_for_a_release(cluster_of_charts, helm) as place:
        yield place


@pytest.fixture(scope="module")
def installed(cluster_of_charts: ControlPlane, helm: Helm) -> Iterator[Cluster]:
    """The chart, installed without values, for tests that change nothing of it."""
    with _place_for_a_release(cluster_of_charts, helm) as place:
        place.install()
        yield place


@contextmanager
def _place_for_a_release(control_plane: ControlPlane, helm: Helm) -> Iterator[Cluster]:
    """A namespace with restricted Pod Security."""
    name = f"release-{uuid.uuid4().hex[:8]}"
    with KubernetesClient(control_plane.kubeconfig) as kubernetes:
        labels = {"pod-security.kubernetes.io/enforce": "restricted"}
        kubernetes.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
        cluster = Cluster(
            control_plane=control_plane,
            kubernetes=kubernetes,
            helm=replace(helm, kubeconfig=control_plane.kubeconfig),
            kubectl=_program("kubectl"),
            namespace=name,
        )
        yield cluster
        cluster.helm.run("uninstall", RELEASE, "--namespace", name, "--ignore-not-found")
        kubernetes.delete(CUSTOM_RESOURCE_DEFINITION, CRD_NAME)
        kubernetes.delete(NAMESPACE, name)
        cluster.wait_until_crd_is_gone()


def _program(name: str) -> Path:
    try:
        return find_or_build(PROGRAMS)[name]
    except ProgramsMissing as error:
        if os.environ.get("CI") == "true":
            pytest.fail(f"no {name}, and CI=true: {error}")
        pytest.skip(f"no {name}: {error}")
