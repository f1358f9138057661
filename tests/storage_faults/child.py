"""Operations in processes of their own, so that these can be killed.

A nursery, which has everything imported, forks one process for each.
"""

import multiprocessing
import os
import signal
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Self

from tests.storage_faults.attempts import attempt
from tests.storage_faults.places import Place

from paft_trainer.launching.parent_process import die_with_parent

KILLED = "killed"


class Child:
    """A process that waits for the word to begin."""

    def __init__(self, connection: Connection, pid: int) -> None:
        self._connection = connection
        self._pid = pid

    def kill(self) -> None:
        """SIGKILL."""
        os.kill(self._pid, signal.SIGKILL)

    def run(self) -> tuple[str, str | None]:
        """Let it work; how it ended, as `attempt` says, or KILLED."""
        self._connection.send(None)
        ended: tuple[str, str | None] = self._connection.recv()
        return ended


class Nursery:
    """Begins with the first child."""

    def __init__(self) -> None:
        self._connection, self._other_end = multiprocessing.Pipe()
        # Not forked from here: this process has threads.
        self._process = multiprocessing.get_context("spawn").Process(target=_nurse, args=(self._other_end,))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._process.pid is not None:
            self._connection.send(None)
            self._process.join()
        self._connection.close()

    def child(self, operation: str, place: Place) -> Child:
        """A new process; the one before must have ended."""
        if self._process.pid is None:
            self._process.start()
            self._other_end.close()
        self._connection.send((operation, place))
        return Child(self._connection, self._connection.recv())


def _nurse(connection: Connection) -> None:
    die_with_parent()
    context = multiprocessing.get_context("fork")
    while (wanted := connection.recv()) is not None:
        process = context.Process(target=_work, args=(connection, *wanted))
        process.start()
        connection.send(process.pid)
        process.join()
        if process.exitcode != 0:
            connection.send((KILLED if process.exitcode == -signal.SIGKILL else f"exit {process.exitcode}", None))


def _work(connection: Connection, operation: str, place: Place) -> None:
    die_with_parent()
    connection.recv()
    connection.send(attempt(operation, place))
