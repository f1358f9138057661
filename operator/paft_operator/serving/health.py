"""Whether the process is of use (readiness).

That it lives (liveness) it shows by answering at all: everything runs in one event loop.
"""

from dataclasses import dataclass


@dataclass(slots=True)
class Health:
    """`not_ready`: why the process is of no use yet; empty where it leads, or waits to take over."""

    not_ready: str = "starting"
