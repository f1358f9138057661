"""One operator with the rights the chart gives it, for many PaftJobs in many namespaces at the same time."""

from contextlib import ExitStack

import pytest
from hack.control_plane import ControlPlane
from hack.control_plane.client import KubernetesClient, Object
from tests.paft_operator.life_cycle.at_once import AtOnce, runs_at_once
from tests.paft_operator.life_cycle.chart_operator import chart_operator
from tests.paft_operator.life_cycle.places import Places, open_places
from tests.paft_operator.life_cycle.rendered_rights import install, rendered_rights
from tests.paft_operator.operator_processes import OperatorProcess

THREADS = 16
OPEN = pytest.StashKey[ExitStack]()


@pytest.fixture(scope="session")
def rights(kubernetes: KubernetesClient, tmp_path_factory: pytest.TempPathFactory) -> list[Object]:
    """What the chart renders to give the operator its rights; installed."""
    objects = rendered_rights(tmp_path_factory.mktemp("helm"))
    install(kubernetes, objects)
    return objects


@pytest.fixture(scope="session")
def open_until_the_end(request: pytest.FixtureRequest) -> ExitStack:
    """What is in it is closed after the last test of this folder."""
    request.session.stash[OPEN] = stack = ExitStack()
    return stack


@pytest.fixture(scope="session")
def places(open_until_the_end: ExitStack, control_plane: ControlPlane, definition: Object) -> Places:
    """Where situations are played."""
    return open_until_the_end.enter_context(open_places(control_plane, threads=THREADS))


@pytest.fixture(scope="session")
def shared_operator(
    open_until_the_end: ExitStack,
    control_plane: ControlPlane,
    rights: list[Object],
    definition: Object,
    tmp_path_factory: pytest.TempPathFactory,
) -> OperatorProcess:
    """The operator, for all namespaces, with its Lease."""
    process = chart_operator(control_plane, tmp_path_factory.mktemp("operator") / "operator.log")
    open_until_the_end.enter_context(process)
    process.wait_until_leading()
    return process


@pytest.fixture(scope="session")
def at_once(
    request: pytest.FixtureRequest, open_until_the_end: ExitStack, places: Places, shared_operator: OperatorProcess
) -> AtOnce:
    """All tests of the session that take a place; they have begun."""
    items = [item for item in request.session.items if isinstance(item, pytest.Function) and runs_at_once(item)]
    running = AtOnce(items, places.make, threads=THREADS)
    open_until_the_end.callback(running.close)
    return running


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
    """Other folders have operators and kubelets of their own, which would get in each other's way."""
    if nextitem is None or nextitem.path.parent != item.path.parent:
        item.session.stash.setdefault(OPEN, ExitStack()).close()
