"""Each planted bug is noticed by its test: tests that notice nothing would prove nothing."""

import os
import shutil
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from hack.control_plane import ControlPlane
from hack.control_plane.client import Object
from tests.paft_operator.life_cycle.places import Places, open_places
from tests.paft_operator.operator_processes import ROOT, OperatorProcess
from tests.paft_operator.planted_bugs.bugs import BUGS, Bug

pytestmark = pytest.mark.slow

IS_CAMPAIGN = "PAFT_CAMPAIGN" in os.environ
CHOSEN = {name: bug for name, bug in BUGS.items() if IS_CAMPAIGN or bug.is_quick}
AT_ONCE = 5
PATIENCE_SECONDS = 60.0
PAGE = ROOT / "docs" / "reference" / "planted-bugs.md"


@pytest.fixture(scope="module")
def places(control_plane: ControlPlane, definition: Object) -> Iterator[Places]:
    """Where they are looked for."""
    # What a bug does to pods is raised at the end.
    with suppress(ExceptionGroup), open_places(control_plane, threads=AT_ONCE * 8) as opened:
        yield opened


@pytest.fixture(scope="module")
def noticed(
    control_plane: ControlPlane, places: Places, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Future[str]]]:
    """What was said of each bug; empty where its test passed. All are looked for at the same time."""
    with ThreadPoolExecutor(AT_ONCE) as executor:
        yield {
            name: executor.submit(_look_for, bug, control_plane, places, tmp_path_factory.mktemp("sources"))
            for name, bug in CHOSEN.items()
        }


@pytest.mark.parametrize("name", CHOSEN)
def test_a_planted_bug_is_noticed(noticed: dict[str, Future[str]], name: str) -> None:
    assert noticed[name].result() != ""


def test_the_page_has_them_all() -> None:
    assert PAGE.read_text(encoding="utf-8").partition("## The bugs\n\n")[2] == _table()


def _look_for(bug: Bug, control_plane: ControlPlane, places: Places, directory: Path) -> str:
    for folder in ("crds", "operator"):
        shutil.copytree(ROOT / folder, directory / folder)
    bug.plant(directory)
    place = places.make(bug.oracle_name)
    place.patience = PATIENCE_SECONDS
    with ExitStack() as stack:
        for number in range(bug.operators):
            log_file = directory / f"operator-{number}.log"
            process = OperatorProcess(
                control_plane.kubeconfig, namespaces=[place.namespace], log_file=log_file, sources=directory
            )
            # A bug that keeps it from starting at all would be none to look for.
            stack.enter_context(process).wait_until_ready()
        try:
            bug.oracle(place=place)
            place.require_truthful()
        except (AssertionError, TimeoutError) as error:
            return str(error) or type(error).__name__
    return ""


def _table() -> str:
    rows = [f"| {name} | `{bug.file}` | `{bug.oracle_name}` |\n" for name, bug in BUGS.items()]
    return "| Bug | Where | Noticed by |\n|---|---|---|\n" + "".join(rows)
