"""Watch events on their way to the operator."""

import asyncio
import json
from collections.abc import AsyncIterator

_EXPIRED = json.dumps(
    {
        "type": "ERROR",
        "object": {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": "too old resource version",
            "reason": "Expired",
            "code": 410,
        },
    }
).encode()


class WatchStream:
    """Lines of one watch. For one event loop."""

    def __init__(self) -> None:
        self._lines: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._paused_until = 0.0

    def send(self, line: bytes, *, after: float = 0.0) -> None:
        """Pass a line on, maybe some seconds later: others may overtake it then."""
        if after:
            asyncio.get_running_loop().call_later(after, self._lines.put_nowait, line)
        else:
            self._lines.put_nowait(line)

    def pause(self, seconds: float) -> None:
        """Pass nothing on for a while; the order stays."""
        self._paused_until = asyncio.get_running_loop().time() + seconds

    def expire(self) -> None:
        """End it with an error 410."""
        self._lines.put_nowait(_EXPIRED)
        self.end()

    def end(self) -> None:
        """End it after what was sent already."""
        self._lines.put_nowait(None)

    async def lines(self) -> AsyncIterator[bytes]:
        """Lines as they should reach the operator, until the end."""
        while (line := await self._lines.get()) is not None:
            await asyncio.sleep(max(0.0, self._paused_until - asyncio.get_running_loop().time()))
            yield line
