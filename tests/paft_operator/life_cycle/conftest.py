"""One operator with the rights the chart gives it, for many PaftJobs in many namespaces at the same time."""

import re
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from hack.control_plane import ControlPlane
from hack.control_plane.client import SERVICE_ACCOUNT, KubernetesClient, Object
from hack.control_plane.control_plane import ADMINISTRATORS
from tests.kubelet_stand_in import KubeletStandIn
from tests.paft_operator.life_cycle.at_once import AtOnce, runs_at_once
from tests.paft_operator.life_cycle.chart_operator import chart_operator
from tests.paft_operator.life_cycle.place import Place
from tests.paft_operator.life_cycle.recorded_jobs import RecordedJobs
from tests.paft_operator.life_cycle.rendered_rights import install, rendered_rights
from tests.paft_operator.life_cycle.scripts import preparing
from tests.paft_operator.operator_processes import OperatorProcess
from tests.paft_operator.played_stages import stage

THREADS = 40
OPERATOR = pytest.StashKey[ExitStack]()


@pytest.fixture(scope="session")
def rights(kubernetes: KubernetesClient, tmp_path_factory: pytest.TempPathFactory) -> list[Object]:
    """What the chart renders to give the operator its rights; installed."""
    objects = rendered_rights(tmp_path_factory.mktemp("helm"))
    install(kubernetes, objects)
    return objects


@pytest.fixture(scope="session")
def places(control_plane: ControlPlane, definition: Object) -> Iterator["Places"]:
    """Where situations are played."""
    with ExitStack() as stack:
        kubeconfig = control_plane.user_kubeconfig("life-cycle", groups=(ADMINISTRATORS,))
        client = stack.enter_context(KubernetesClient(kubeconfig, connections=THREADS + 16))
        kubelet = stack.enter_context(
            KubeletStandIn(client, labels="app.kubernetes.io/managed-by=paft-operator", workers=4)
        )
        kubelet.play(preparing(client), {"paft.dev/stage": "prepare"})
        kubelet.play(stage())
        yield Places(kubeconfig, client, kubelet, stack.enter_context(RecordedJobs(client)))


@pytest.fixture(scope="session")
def shared_operator(
    request: pytest.FixtureRequest,
    control_plane: ControlPlane,
    rights: list[Object],
    definition: Object,
    tmp_path_factory: pytest.TempPathFactory,
) -> OperatorProcess:
    """The operator, for all namespaces, with its Lease. It ends with the last test of this folder."""
    process = chart_operator(control_plane, tmp_path_factory.mktemp("operator") / "operator.log")
    request.session.stash[OPERATOR] = stack = ExitStack()
    stack.enter_context(process)
    process.wait_until_leading()
    return process


@pytest.fixture(scope="session")
def at_once(request: pytest.FixtureRequest, places: "Places", shared_operator: OperatorProcess) -> Iterator[AtOnce]:
    """All tests of the session that take a place; they have begun."""
    items = [item for item in request.session.items if isinstance(item, pytest.Function) and runs_at_once(item)]
    running = AtOnce(items, places.make, threads=THREADS)
    yield running
    running.close()


@pytest.fixture
def place(at_once: AtOnce) -> None:
    """Each test that runs at once is given its own by the thread it runs in."""


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """A test that has run already only tells what came of it."""
    if not runs_at_once(pyfuncitem):
        return None
    pyfuncitem.funcargs["at_once"].result(pyfuncitem)
    return True


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """Other folders have operators of their own, which this one would get in the way of."""
    if nextitem is None or nextitem.path.parent != item.path.parent:
        item.session.stash.setdefault(OPERATOR, ExitStack()).close()


class Places:
    """Makes them."""

    def __init__(
        self, kubeconfig: Path, client: KubernetesClient, kubelet: KubeletStandIn, recorded: RecordedJobs
    ) -> None:
        self._kubeconfig = kubeconfig
        self._client = client
        self._kubelet = kubelet
        self._recorded = recorded

    def make(self, title: str, **fields: float) -> Place:
        """A new one; parts of `title` are in its names."""
        words = re.sub(r"[^a-z0-9]+", "-", title.removeprefix("test_").lower()).strip("-")
        name = f"{words[:24].strip('-')}-{uuid.uuid4().hex[:4]}"
        namespace = f"test-{name}"
        self._client.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
        # Before this ServiceAccount is there, every Pod is refused.
        self._client.wait_for(SERVICE_ACCOUNT, "default", namespace, bool)
        return Place(
            kubeconfig=self._kubeconfig,
            kubernetes=self._client,
            kubelet=self._kubelet,
            recorded=self._recorded,
            namespace=namespace,
            name=name if name[0].isalpha() else f"j{name}",
            **fields,
        )
