"""Ctrl-C and SIGTERM: the first asks for a clean stop, the second ends the waiting."""

import signal
from types import FrameType, TracebackType
from typing import Any, Self


class StopSignals:
    """Counts SIGINT and SIGTERM while it is entered, instead of ending the process."""

    def __init__(self) -> None:
        self.first: signal.Signals | None = None
        self.count = 0
        self._previous: dict[signal.Signals, Any] = {}

    @property
    def requested(self) -> bool:
        """Stop cleanly."""
        return self.count > 0

    @property
    def impatient(self) -> bool:
        """Stop at once."""
        return self.count > 1

    @property
    def exit_code(self) -> int:
        """130 after Ctrl-C, 143 after SIGTERM."""
        assert self.first is not None
        return 128 + self.first

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._previous[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.first = self.first or signal.Signals(number)
        self.count += 1
