"""Runs cases, several at a time, and judges each by an undisturbed run."""

import threading
import time
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from hack.control_plane import ControlPlane
from tests.paft_operator.faults.cases import STEADY, Case
from tests.paft_operator.faults.interference import Interference
from tests.paft_operator.faults.lanes import Lane, lane
from tests.paft_operator.faults.life_cycle import MAY_SKIP
from tests.paft_operator.faults.outcomes import Outcome, compare
from tests.paft_operator.faults.proxy import Traffic


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """What came of a case. `happened`: its faults; none where the run never got to that point."""

    key: str
    group: str
    happened: list[str]
    problems: list[str]
    seconds: float


class Runs:
    """As many at a time as there are lanes; a lane belongs to one thread and is used again."""

    def __init__(self, control_plane: ControlPlane, directory: Path, *, lanes: int) -> None:
        self._control_plane = control_plane
        self._directory = directory
        self._threads = ThreadPoolExecutor(lanes, thread_name_prefix="lane")
        self._own = threading.local()
        self._stacks: list[ExitStack] = []
        self._undisturbed: tuple[Outcome, Traffic] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._threads.shutdown(cancel_futures=True)
        for stack in self._stacks:
            stack.close()

    @property
    def undisturbed(self) -> tuple[Outcome, Traffic]:
        """What came of a life cycle without faults, and what went through the proxy; lived before all others."""
        if self._undisturbed is None:
            self._undisturbed = self._threads.submit(self._live_undisturbed).result()
        return self._undisturbed

    def _live_undisturbed(self) -> tuple[Outcome, Traffic]:
        place = self._lane(STEADY)
        outcome = place.live(Interference())
        return outcome, place.traffic

    def submit(self, case: Case) -> "Future[Result]":
        """Run a case as soon as a lane is free."""
        expected, _ = self.undisturbed
        return self._threads.submit(self._run, case, expected)

    def _run(self, case: Case, expected: Outcome) -> Result:
        began = time.monotonic()
        happened: list[str] = []
        try:
            happened, outcome = self._live(case)
            problems = compare(expected, outcome, may_skip=MAY_SKIP[case.pace])
        except Exception as error:  # noqa: BLE001 - one run that breaks down must not end all others
            problems = [f"the run broke down: {error!r}"]
            self._leave_lane()
        seconds = round(time.monotonic() - began, 1)
        return Result(key=case.key, group=case.group, happened=happened, problems=problems, seconds=seconds)

    def _live(self, case: Case) -> tuple[list[str], Outcome]:
        place = self._lane(case.settings, case.operators)
        interference = case.interference(place)
        outcome = place.live(interference, pace=case.pace)
        if place.is_spoiled:
            self._leave_lane()
        return interference.happened, outcome

    def _lane(self, settings: Mapping[str, object], operators: int = 1) -> Lane:
        """This thread's lane; another one where the last had other settings."""
        wanted = (repr(settings), operators)
        if getattr(self._own, "wanted", None) != wanted:
            self._leave_lane()
            self._own.stack = ExitStack()
            self._stacks.append(self._own.stack)
            made = lane(self._control_plane, self._directory, operators=operators, settings=settings)
            self._own.lane = self._own.stack.enter_context(made)
            self._own.wanted = wanted
        own: Lane = self._own.lane
        return own

    def _leave_lane(self) -> None:
        self._own.wanted = None
        stack: ExitStack | None = getattr(self._own, "stack", None)
        if stack is not None and stack in self._stacks:
            self._stacks.remove(stack)
            stack.close()
