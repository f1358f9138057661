"""Runs with faults: all that were selected, a few at a time."""

import os
from collections.abc import Iterator
from concurrent.futures import Future

import pytest
from hack.control_plane import ControlPlane
from hack.control_plane.client import Object
from tests.paft_operator.faults.cases import Case
from tests.paft_operator.faults.runs import Result, Runs

LANES_PER_CORE = 2
"""A life cycle waits for the Job controller most of the time."""


@pytest.fixture(scope="package")
def runs(control_plane: ControlPlane, definition: Object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runs]:
    """Lanes, and an undisturbed run to judge by."""
    lanes = LANES_PER_CORE * (os.cpu_count() or 1)
    with Runs(control_plane, tmp_path_factory.mktemp("faults"), lanes=lanes) as made:
        yield made


@pytest.fixture(scope="package")
def results(runs: Runs, request: pytest.FixtureRequest) -> "dict[str, Future[Result]]":
    """Results of all cases that were selected, by key; the first who asks starts them all."""
    return {case.key: runs.submit(case) for item in request.session.items if (case := _case_of(item)) is not None}


def _case_of(item: pytest.Item) -> Case | None:
    callspec = getattr(item, "callspec", None)
    case = callspec.params.get("case") if callspec is not None else None
    return case if isinstance(case, Case) else None
