"""A real HTTP proxy before a real S3 server, that lets chosen requests go wrong as networks and servers do."""

import contextlib
import http.client
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

Fault = Callable[["_Handler", Callable[[], "Answer"]], None]
"""Answers a request with or without asking the server, which is the second argument."""

STALLED_SECONDS = 60.0
"""Longer than any client in a test waits; the proxy's end ends it, too."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server said."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


def pass_on(handler: "_Handler", ask: Callable[[], Answer]) -> None:
    """Nothing goes wrong; the fault after this one is for the next request."""
    handler.send(ask())


def lose_answer(handler: "_Handler", ask: Callable[[], Answer]) -> None:
    """The request is carried out, and its answer never arrives."""
    ask()
    handler.close_connection = True


def cut_answer(handler: "_Handler", ask: Callable[[], Answer]) -> None:
    """The connection breaks after half the body."""
    answer = ask()
    handler.send(Answer(answer.status, answer.headers, answer.body[: len(answer.body) // 2]))
    handler.close_connection = True


def stall(handler: "_Handler", ask: Callable[[], Answer]) -> None:
    """Half the body comes, and then nothing more, on a connection that stays open."""
    answer = ask()
    handler.send(Answer(answer.status, answer.headers, answer.body[: len(answer.body) // 2]))
    handler.proxy.is_closed.wait(STALLED_SECONDS)
    handler.close_connection = True


def trickle(handler: "_Handler", ask: Callable[[], Answer]) -> None:
    """The body comes byte by byte."""
    answer = ask()
    handler.send(Answer(answer.status, answer.headers, b""))
    with contextlib.suppress(OSError):
        for byte in answer.body:
            handler.wfile.write(bytes([byte]))
            if handler.proxy.is_closed.wait(0.2):
                break
    handler.close_connection = True


def damage_request(handler: "_Handler", ask: Callable[[], Answer]) -> None:
    """A bit of the body flips on its way to the server."""
    handler.body = bytes([handler.body[0] ^ 1]) + handler.body[1:]
    handler.send(ask())


def answer_with(status: int, code: str) -> Fault:
    """An S3 error, without the server hearing of the request."""
    body = f"<Error><Code>{code}</Code><Message>planted</Message></Error>".encode()
    headers = [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))]
    return lambda handler, ask: handler.send(Answer(status, headers, body))


class UnreliableProxy:
    """`faults`: what still goes wrong, for the first request of this method whose address contains the text."""

    def __init__(self, upstream: str, port: int) -> None:
        self.upstream = urlsplit(upstream).netloc
        self.endpoint = f"http://127.0.0.1:{port}"
        self.faults: list[tuple[str, str, Fault]] = []
        self.requests: list[str] = []
        self.is_closed = threading.Event()
        self._lock = threading.Lock()

    def fault_of(self, method: str, target: str) -> Fault | None:
        """The fault for a request, used up by it."""
        with self._lock:
            self.requests.append(f"{method} {target}")
            found = next((fault for fault in self.faults if fault[0] == method and fault[1] in target), None)
            if found is None:
                return None
            self.faults.remove(found)
            return found[2]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    proxy: UnreliableProxy

    def handle_request(self) -> None:
        self.body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        fault = self.proxy.fault_of(self.command, self.path) or pass_on
        fault(self, self._ask)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = handle_request  # noqa: N815  (the names in http.server)

    def _ask(self) -> Answer:
        connection = http.client.HTTPConnection(self.proxy.upstream)
        connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            if name.lower() not in ("expect", "connection"):
                connection.putheader(name, value)
        connection.endheaders(self.body)
        response = connection.getresponse()
        headers = [(name, value) for name, value in response.getheaders() if name.lower() != "transfer-encoding"]
        content = response.read()
        connection.close()
        if self.command != "HEAD" and response.status != 204 and response.getheader("Content-Length") is None:
            headers.append(("Content-Length", str(len(content))))
        return Answer(response.status, headers, content)

    def send(self, answer: Answer) -> None:
        """Send an answer as it is, even one that breaks off."""
        self.send_response_only(answer.status)
        for name, value in answer.headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer.body)

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002  (the name in http.server)
        """Nothing: the test looks at `requests`."""


@contextmanager
def unreliable_proxy(upstream: str) -> Iterator[UnreliableProxy]:
    """A proxy for the length of a `with` block."""
    handler = type("Handler", (_Handler,), {})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        proxy = UnreliableProxy(upstream, server.server_port)
        handler.proxy = proxy
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield proxy
        finally:
            proxy.is_closed.set()
            server.shutdown()
            thread.join()
