"""What torch.compile and Numba tell of their compiling, for the report.

Nobody tells of what CUDA libraries prepare at the first use of a kernel: that counts as the work it is a part of.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from numba.core.event import Event
    from torch._dynamo.callback import CallbackArgs

    from paft_trainer.reporting import Reporter


@contextmanager
def torch_told(reporter: "Reporter") -> Iterator[None]:
    """Tell of every frame that torch.compile compiles within the block."""
    from torch._dynamo.callback import callback_handler

    def begin(_: "CallbackArgs") -> None:
        reporter.begin_compiling()

    def end(_: "CallbackArgs") -> None:
        reporter.end_compiling()

    callback_handler.register_start_callback(begin)
    callback_handler.register_end_callback(end)
    try:
        yield
    finally:
        callback_handler.remove_start_callback(begin)
        callback_handler.remove_end_callback(end)


@contextmanager
def numba_told(reporter: "Reporter") -> Iterator[None]:
    """Tell of every kernel that Numba compiles within the block, in any thread; not of those that it finds kept."""
    from numba.core.event import Listener, install_listener

    class Compilations(Listener):
        def on_start(self, event: "Event") -> None:
            reporter.begin_compiling()

        def on_end(self, event: "Event") -> None:
            reporter.end_compiling()

    with install_listener("numba:compile", Compilations()):
        yield
