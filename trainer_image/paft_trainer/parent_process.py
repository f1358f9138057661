"""Ends this process when the one that started it dies, however it dies."""

import ctypes
import os
import signal

_PR_SET_PDEATHSIG = 1
PARENT_VARIABLE = "PAFT_PARENT_PID"
"""Names the process that must stay alive; set by `paft run`."""


def end_with_parent() -> None:
    """Have Linux send SIGTERM when the parent named by PAFT_PARENT_PID is gone; nothing without that variable."""
    parent = os.environ.get(PARENT_VARIABLE)
    if parent is None:
        return
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    # It may have died before the call above: then nobody is left to hear of the result.
    if os.getppid() != int(parent):
        os.kill(os.getpid(), signal.SIGTERM)
