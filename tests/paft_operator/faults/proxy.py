"""A proxy between an operator and the API server. It counts writes and watch events, and lets faults happen.

    with FaultProxy(control_plane.kubeconfig, tmp_path) as proxy:
        proxy.begin(Traffic("tiny"), Crash(operator, 3, Moment.BEFORE))

Counted are the requests that would change a PaftJob or a child of it: POST, PUT, PATCH and DELETE, but not those of
Leases and Events. They are counted as they come in: whether one has an effect is known only from its answer.
"""

import asyncio
import base64
import json
import ssl
import threading
from collections.abc import AsyncIterator, Coroutine
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import aiohttp
import yaml
from aiohttp import web
from hack.control_plane.kubeconfigs import write_kubeconfig
from tests.paft_operator.faults.calls import UNCOUNTED, Call, call_of, job_of
from tests.paft_operator.faults.interference import Answer, ConnectionCut, Event, Interference
from tests.paft_operator.faults.watch_streams import WatchStream
from yarl import URL

CLOSING_SECONDS = 0.1

_Result = TypeVar("_Result")
_PASSED_ON = ("Content-Type", "Accept")
_GIVEN = ("Content-Type", "Retry-After")


@dataclass(slots=True)
class Write:
    """A counted write. `status`: of the API server's answer, whether or not the operator got it; 0 before that."""

    number: int
    told: str
    status: int = 0


class Traffic:
    """What went through one proxy or several while one PaftJob was worked on. `job`: its name; empty before the first.

    `events`: watch events so far.
    """

    def __init__(self, job: str = "") -> None:
        self.job = job
        self.writes: list[Write] = []
        self.events = 0
        self._lock = threading.Lock()

    def count(self, call: Call) -> Write:
        """Count a write."""
        with self._lock:
            write = Write(len(self.writes) + 1, call.told_for(self.job))
            self.writes.append(write)
        return write


class FaultProxy:
    """One proxy, in a thread of its own. `kubeconfig`: the operator's way through it.

    `origin`: index of its operator.
    """

    def __init__(self, upstream: Path, directory: Path, *, origin: int = 0) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        context = yaml.safe_load(upstream.read_text(encoding="utf-8"))
        self._server = context["clusters"][0]["cluster"]["server"]
        self._authority = base64.b64decode(context["clusters"][0]["cluster"]["certificate-authority-data"])
        self._ssl = _ssl_context(self._authority, context["users"][0]["user"], directory)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fault-proxy")
        self._interference = Interference()
        self._origin = origin
        self._streams: set[WatchStream] = set()
        self.traffic = Traffic()
        self.kubeconfig = directory / "kubeconfig"

    def __enter__(self) -> Self:
        self._thread.start()
        port = self._do(self._serve())
        write_kubeconfig(
            self.kubeconfig, server=f"http://127.0.0.1:{port}", authority=self._authority, user=token("nobody")
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._do(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def begin(self, traffic: Traffic, interference: Interference) -> None:
        """Count for another PaftJob, and let other faults happen."""
        self.traffic, self._interference = traffic, interference

    def be_honest(self) -> None:
        """Let no more faults happen."""
        self._interference = Interference()

    def _do(self, work: Coroutine[Any, Any, _Result]) -> _Result:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    async def _serve(self) -> int:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=self._ssl), timeout=aiohttp.ClientTimeout(total=None)
        )
        self._runner = web.ServerRunner(web.Server(self._handle), shutdown_timeout=0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        return int(self._runner.addresses[0][1])

    async def _stop(self) -> None:
        for stream in self._streams:
            stream.end()
        await self._runner.cleanup()
        await self._session.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        # Transports close in the loop's next turns.
        await asyncio.sleep(CLOSING_SECONDS)

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        body = await request.read()
        call, write = self._counted(call_of(request.method, request.path, request.query, body))
        interference = self._interference
        try:
            answer = await interference.before(call)
            if answer is None and call.is_watch:
                return await self._watch(request)
            if answer is None:
                answer = await self._pass_on(request, body)
                write.status = answer.status
            answer = await interference.after(call, answer)
        except (ConnectionCut, aiohttp.ClientError) as error:
            if request.transport is not None:
                request.transport.abort()
            # Nobody reads it any more.
            return web.Response(status=502, text=str(error))
        return web.Response(status=answer.status, body=answer.body, headers=answer.headers)

    def _counted(self, call: Call) -> tuple[Call, Write]:
        traffic = self.traffic
        call = replace(call, origin=self._origin)
        if not call.is_write or call.resource in UNCOUNTED or not call.concerns(traffic.job):
            return call, Write(0, "")
        write = traffic.count(call)
        return replace(call, number=write.number), write

    async def _pass_on(self, request: web.BaseRequest, body: bytes) -> Answer:
        async with self._upstream(request, body) as answer:
            return Answer(answer.status, await answer.read(), _chosen(answer.headers, _GIVEN))

    def _upstream(self, request: web.BaseRequest, body: bytes) -> Any:
        url = URL(self._server + request.raw_path, encoded=True)
        return self._session.request(
            request.method, url, data=body or None, headers=_chosen(request.headers, _PASSED_ON)
        )

    async def _watch(self, request: web.BaseRequest) -> web.StreamResponse:
        async with self._upstream(request, b"") as answer:
            if answer.status != 200:
                return web.Response(status=answer.status, body=await answer.read())
            response = web.StreamResponse(headers=_chosen(answer.headers, ("Content-Type",)))
            await response.prepare(request)
            stream = WatchStream()
            self._streams.add(stream)
            reading = asyncio.create_task(self._read_events(answer, stream))
            try:
                async for line in stream.lines():
                    await response.write(line + b"\n")
            except ConnectionError:
                # The operator has ended, or its watch.
                return response
            finally:
                reading.cancel()
                self._streams.discard(stream)
            return response

    async def _read_events(self, answer: aiohttp.ClientResponse, stream: WatchStream) -> None:
        try:
            async for line in _lines(answer):
                self._interference.event(stream, self._numbered(line))
        except aiohttp.ClientError:
            pass
        finally:
            stream.end()

    def _numbered(self, line: bytes) -> Event:
        document = json.loads(line)
        if document["type"] not in ("ADDED", "MODIFIED", "DELETED") or job_of(document["object"]) != self.traffic.job:
            return Event(0, line)
        self.traffic.events += 1
        return Event(self.traffic.events, line)


async def _lines(answer: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    """aiohttp's own lines have a limit that objects exceed."""
    unread = b""
    async for chunk in answer.content.iter_any():
        *lines, unread = (unread + chunk).split(b"\n")
        for line in lines:
            yield line


def token(value: str) -> dict[str, str]:
    """A user of the proxy, which does not ask who one is."""
    return {"token": value}


def _chosen(headers: Any, names: tuple[str, ...]) -> dict[str, str]:
    return {name: headers[name] for name in names if name in headers}


def _ssl_context(authority: bytes, user: dict[str, str], directory: Path) -> ssl.SSLContext:
    pair = directory / "client.pem"
    pair.touch(mode=0o600)
    pair.write_bytes(base64.b64decode(user["client-certificate-data"]) + base64.b64decode(user["client-key-data"]))
    context = ssl.create_default_context(cadata=authority.decode("ascii"))
    context.load_cert_chain(pair)
    return context
