"""A proxy between a client and an S3 server, on loopback, that lets chosen requests go wrong.

    with FaultProxy(server.endpoint) as proxy:
        proxy.begin(Names("trials/7/"), lambda request: Fault.STALL if request.turn == 1 else None)

Connections are kept alive on both sides, and bodies pass through in pieces, however large they are.
"""

import asyncio
import socket
import struct
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from types import TracebackType
from typing import Any, Self, TypeVar

import aiohttp
from aiohttp import web
from tests.storage_faults.exchanges import Exchange, Fault, Names, Request
from yarl import URL

Plan = Callable[[Request], Fault | None]
"""Asked once for each request."""

PIECE_BYTES = 256 * 1024
STALL_SECONDS = 30.0
"""A client that is more patient than this is cut off."""

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
_OF_ONE_CONNECTION = {"connection", "keep-alive", "transfer-encoding", "expect", "te", "upgrade"}
_ADDED_BY_AIOHTTP = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")
_ERRORS = {Fault.ERROR: (500, "InternalError"), Fault.SLOW_DOWN: (503, "SlowDown")}
_Result = TypeVar("_Result")


class ConnectionCut(Exception):
    """Nothing more is to be said to this client."""


class FaultProxy:
    """One proxy, in a thread of its own. `endpoint`: the client's way through it. `kill`: ends the client's process."""

    def __init__(self, upstream: str) -> None:
        self._upstream = upstream
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="storage-fault-proxy")
        self.endpoint = ""
        self.begin(Names(""))

    def begin(
        self, names: Names, plan: Plan = lambda request: None, *, kill: Callable[[], None] = lambda: None
    ) -> None:
        """Forget what was, and let other faults happen. `happened`: those that did; `exchanges`: what went through."""
        self._names, self._plan, self.kill = names, plan, kill
        self.exchanges: list[Exchange] = []
        self.happened: list[tuple[Request, Fault]] = []

    def __enter__(self) -> Self:
        self._thread.start()
        self.endpoint = f"http://127.0.0.1:{self._do(self._serve())}"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._do(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _do(self, work: Coroutine[Any, Any, _Result]) -> _Result:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    async def _serve(self) -> int:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            timeout=aiohttp.ClientTimeout(total=None),
            auto_decompress=False,
            skip_auto_headers=_ADDED_BY_AIOHTTP,
        )
        self._runner = web.ServerRunner(web.Server(self._handle, access_log=None), shutdown_timeout=0)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        return int(self._runner.addresses[0][1])

    async def _stop(self) -> None:
        await self._runner.cleanup()
        await self._session.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        # Transports close in the loop's next turns.
        await asyncio.sleep(0.05)

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        named = self._names.name(request.method, request.raw_path, request.headers.get("Range"))
        fault = self._plan(named)
        if fault is not None:
            self.happened.append((named, fault))
        try:
            return await _Passage(self, request, named, fault).play()
        except (ConnectionCut, aiohttp.ClientError, ConnectionError):
            _reset(request.transport)
            # Nobody reads it any more.
            return web.Response(status=502)

    def ask(self, request: web.BaseRequest, body: AsyncIterator[bytes] | None) -> Any:
        """The server's answer, as a context."""
        headers = [(name, value) for name, value in request.headers.items() if name.lower() not in _OF_ONE_CONNECTION]
        url = URL(self._upstream + request.raw_path, encoded=True)
        return self._session.request(request.method, url, data=body, headers=headers, allow_redirects=False)


class _Passage:
    """One request on its way to the server, and the answer on its way back."""

    def __init__(self, proxy: FaultProxy, request: web.BaseRequest, named: Request, fault: Fault | None) -> None:
        self._proxy = proxy
        self._request = request
        self._named = named
        self._fault = fault
        self._sent = 0

    async def play(self) -> web.StreamResponse:
        """Let the fault happen, or nothing but the request. Raises ConnectionCut."""
        await self._ask_for_body()
        match self._fault:
            case Fault.RESET_BEFORE:
                await self._drain()
                raise ConnectionCut
            case Fault.KILL_BEFORE:
                await self._drain()
                self._proxy.kill()
                raise ConnectionCut
            case Fault.STALL:
                await self._drain()
                return await self._stall()
            case Fault.ERROR | Fault.SLOW_DOWN:
                await self._drain()
                return _error(*_ERRORS[self._fault])
            case _:
                return await self._pass_on()

    async def _ask_for_body(self) -> None:
        if self._request.headers.get("Expect", "").lower() == "100-continue" and self._request.transport is not None:
            self._request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    async def _drain(self) -> None:
        async for _ in self._request.content.iter_chunked(PIECE_BYTES):
            pass

    async def _stall(self) -> web.StreamResponse:
        """Say nothing until the client has had enough."""
        for _ in range(int(STALL_SECONDS / 0.05)):
            if self._request.transport is None or self._request.transport.is_closing():
                break
            await asyncio.sleep(0.05)
        raise ConnectionCut

    async def _pass_on(self) -> web.StreamResponse:
        body = self._body() if self._request.body_exists and self._request.can_read_body else None
        async with self._proxy.ask(self._request, body) as answer:
            if self._fault in (Fault.RESET_AFTER, Fault.KILL_AFTER):
                await answer.read()
                if self._fault is Fault.KILL_AFTER:
                    self._proxy.kill()
                raise ConnectionCut
            return await self._pass_back(answer)

    async def _body(self) -> AsyncIterator[bytes]:
        size = self._request.content_length or 0
        async for piece in self._request.content.iter_chunked(PIECE_BYTES):
            before, self._sent = self._sent, self._sent + len(piece)
            if self._fault is Fault.CUT_BODY and self._sent > size // 2:
                yield piece[: size // 2 - before]
                await self._drain()
                raise ConnectionCut
            yield _falsified(piece, size // 2 - before) if self._fault is Fault.WRONG_BODY else piece

    async def _pass_back(self, answer: aiohttp.ClientResponse) -> web.StreamResponse:
        response = web.StreamResponse(status=answer.status, reason=answer.reason)
        for name, value in answer.headers.items():
            if name.lower() not in _OF_ONE_CONNECTION:
                response.headers.add(name, value)
        # What has no length ends with the connection, unless it is chunked.
        if answer.headers.get("Transfer-Encoding", "").lower() == "chunked":
            response.enable_chunked_encoding()
        size = int(answer.headers.get("Content-Length", 0)) if self._request.method != "HEAD" else 0
        if self._fault is Fault.STALLED_ANSWER and size < 2:
            return await self._stall()
        await response.prepare(self._request)
        received = 0
        async for piece in answer.content.iter_chunked(PIECE_BYTES):
            before, received = received, received + len(piece)
            if self._fault in (Fault.CUT_ANSWER, Fault.STALLED_ANSWER) and received > size // 2:
                return await self._break_off(response, piece[: size // 2 - before])
            changes = self._fault is Fault.WRONG_ANSWER
            await response.write(_falsified(piece, size // 2 - before) if changes else piece)
        await response.write_eof()
        self._remember(answer, received)
        return response

    async def _break_off(self, response: web.StreamResponse, last: bytes) -> web.StreamResponse:
        await response.write(last)
        if self._fault is Fault.STALLED_ANSWER:
            return await self._stall()
        if self._request.transport is not None:
            # An orderly end, which only the length tells from a whole answer.
            self._request.transport.close()
        return response

    def _remember(self, answer: aiohttp.ClientResponse, received: int) -> None:
        is_content = self._request.method == "GET" and "ETag" in answer.headers
        self._proxy.exchanges.append(
            Exchange(
                request=self._named, status=answer.status, sent=self._sent, received=received, is_content=is_content
            )
        )


def _falsified(piece: bytes, offset: int) -> bytes:
    """With one bit flipped, where this byte of the body is in this piece."""
    if not 0 <= offset < len(piece):
        return piece
    return piece[:offset] + bytes([piece[offset] ^ 1]) + piece[offset + 1 :]


def _error(status: int, code: str) -> web.Response:
    text = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>planted</Message></Error>"
    return web.Response(status=status, text=text, content_type="application/xml")


def _reset(transport: asyncio.Transport | None) -> None:
    """Close with RST, as a peer does that has died."""
    if transport is None:
        return
    connection = transport.get_extra_info("socket")
    if connection is not None and not transport.is_closing():
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    transport.abort()
