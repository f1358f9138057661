"""Ends this process when the one that started it dies, however it dies."""

import ctypes
import os
import signal

_PR_SET_PDEATHSIG = 1
PARENT_VARIABLE = "PAFT_PARENT_PID"
"""Names the process that must stay alive; set by `paft run`."""


def stop_with_parent() -> None:
    """Have Linux send SIGTERM when the parent named by PAFT_PARENT_PID is gone; nothing without that variable."""
    parent = os.environ.get(PARENT_VARIABLE)
    if parent is not None:
        _signal_on_death_of(int(parent), signal.SIGTERM)


def die_with_parent() -> None:
    """Have Linux kill this process at once when its parent is gone."""
    _signal_on_death_of(os.getppid(), signal.SIGKILL)


def _signal_on_death_of(parent: int, number: signal.Signals) -> None:
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)
    # It may have died before the call above: then nobody is left to hear of the result.
    if os.getppid() != parent:
        os.kill(os.getpid(), number)
