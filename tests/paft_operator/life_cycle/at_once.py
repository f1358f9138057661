"""Runs tests at the same time, each in a thread of its own; pytest then reports them one after the other.

A test that takes a `place` runs so. It may take parameters, but no other fixture.
"""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
from tests.paft_operator.life_cycle.place import Place

ARGUMENT = "place"


def runs_at_once(item: pytest.Item) -> bool:
    """Whether a test is one of these."""
    return isinstance(item, pytest.Function) and ARGUMENT in item.fixturenames


class AtOnce:
    """The tests of a session that run at once. `threads`: how many do."""

    def __init__(self, items: Sequence[pytest.Function], make_place: Callable[[str], Place], *, threads: int) -> None:
        self._make_place = make_place
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="situation")
        self._futures = {item.nodeid: self._executor.submit(self._run, item) for item in items}
        self.seconds: dict[str, float] = {}

    def result(self, item: pytest.Function) -> None:
        """Wait for a test; raises what it has raised."""
        future: Future[None] = self._futures[item.nodeid]
        future.result()

    def close(self) -> None:
        """Start nothing more, and wait for what runs."""
        self._executor.shutdown(cancel_futures=True)

    def _run(self, item: pytest.Function) -> None:
        began = time.monotonic()
        parameters = dict(item.callspec.params) if hasattr(item, "callspec") else {}
        threading.current_thread().name = item.name
        place = self._make_place(item.name)
        try:
            item.obj(place=place, **parameters)
            place.require_truthful()
        finally:
            self.seconds[item.nodeid] = time.monotonic() - began
