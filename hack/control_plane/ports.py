"""Ports of loopback that nobody else can take before a server listens there."""

import socket
from types import TracebackType
from typing import Self


class ReservedPort:
    """A free port, held until `release`.

    The socket is bound with SO_REUSEPORT and never listens: the server that is meant shares the port with it
    (`--permit-port-sharing`, `--socket-reuse-port`), while Linux gives it to nobody who asks for any free port.
    So there is no moment, not even while a server starts again, in which another program could take the port.
    """

    def __init__(self) -> None:
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self._socket.bind(("127.0.0.1", 0))
        self.number: int = self._socket.getsockname()[1]

    def release(self) -> None:
        """Let go of the port."""
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.release()
