"""The event with which a launcher tells its ranks that it has what they returned, and that they may end.

torch's launcher takes multiprocessing's Event for that, whose `set` waits until all who waited have woken up: for ever,
where one of them was killed meanwhile. This one is the end of a pipe, which nobody has to confirm.
"""

import multiprocessing
from multiprocessing.connection import Connection, Pipe
from typing import Any


class FinishedEvent:
    """Set once, by the process that made it; others get it when they are started, and can only wait."""

    def __init__(self) -> None:
        self._reader, self._writer = Pipe(duplex=False)

    def __reduce__(self) -> tuple[Any, tuple[Connection]]:
        return _Waiting, (self._reader,)

    def set(self) -> None:
        """Wake up all that wait, and whoever waits later."""
        self._writer.close()


class _Waiting:
    """The same in another process. It is set as well when the process that made it has ended."""

    def __init__(self, reader: Connection) -> None:
        self._reader = reader

    def wait(self) -> None:
        """Until it is set."""
        # Nothing is ever sent: what comes is the end.
        self._reader.poll(None)


def use_finished_event() -> None:
    """In every process that this one starts from its forkserver from here on."""
    context: Any = multiprocessing.get_context("forkserver")
    context.Event = FinishedEvent
