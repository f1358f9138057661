"""Fixtures of tests that talk to a real Kubernetes API: one control plane per run, a namespace per test."""

import os
import uuid
from collections.abc import Iterator

import pytest
from hack import control_plane as control_planes
from hack.control_plane import ControlPlane, ControlPlaneError, ProgramsMissing, Settings
from hack.control_plane.client import NAMESPACE, POD, SERVICE_ACCOUNT, KubernetesClient
from hack.control_plane.control_plane import ADMINISTRATORS
from hack.control_plane.programs import find_or_build
from tests.kubelet_stand_in import KubeletStandIn

PROGRAMS = ("etcd", "kube-apiserver", "kube-controller-manager", "kubectl")


def pytest_collection_finish(session: pytest.Session) -> None:
    """Build missing programs before the first test: it takes minutes, which would count as that test's time."""
    if session.config.option.collectonly or not any("control_plane" in _fixtures(item) for item in session.items):
        return
    capture = session.config.pluginmanager.getplugin("capturemanager")
    try:
        with capture.global_and_fixture_disabled():
            find_or_build(PROGRAMS)
    except ControlPlaneError:
        # The fixture meets the same error, and makes it the result of each test that needs a control plane.
        return


def _fixtures(item: pytest.Item) -> list[str]:
    return item.fixturenames if isinstance(item, pytest.Function) else []


@pytest.fixture(scope="session")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """A control plane that all tests share; its audit log tells who asked for what.

    Where it cannot be had, tests are skipped, or fail with `CI=true`.
    """
    try:
        find_or_build(PROGRAMS)
    except ProgramsMissing as error:
        if os.environ.get("CI") == "true":
            pytest.fail(f"no control plane, and CI=true: {error}")
        pytest.skip(f"no control plane: {error}")
    with control_planes.running(Settings(directory=tmp_path_factory.mktemp("control-plane"), audit=True)) as running:
        yield running


@pytest.fixture(scope="session")
def kubernetes(control_plane: ControlPlane) -> Iterator[KubernetesClient]:
    """The administrator's client."""
    with KubernetesClient(control_plane.kubeconfig) as client:
        yield client


@pytest.fixture
def namespace(kubernetes: KubernetesClient) -> Iterator[str]:
    """A namespace of the test's own, in which Pods can be created; it goes away by itself afterwards."""
    name = f"test-{uuid.uuid4().hex[:12]}"
    kubernetes.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    # Before this ServiceAccount is there, every Pod is refused.
    kubernetes.wait_for(SERVICE_ACCOUNT, "default", name, bool)
    yield name
    kubernetes.delete(NAMESPACE, name)
    # No kubelet ends them, so their namespace would stay for ever.
    for pod in kubernetes.list(POD, name):
        kubernetes.delete(POD, pod["metadata"]["name"], name, grace_seconds=0)


@pytest.fixture
def kubelet(control_plane: ControlPlane, namespace: str) -> Iterator[KubeletStandIn]:
    """What plays the Pods of the test's namespace."""
    kubeconfig = control_plane.user_kubeconfig("kubelet-stand-in", groups=(ADMINISTRATORS,))
    with KubernetesClient(kubeconfig) as client, KubeletStandIn(client, namespace=namespace) as stand_in:
        yield stand_in
