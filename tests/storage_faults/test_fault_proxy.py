"""Each fault does what its name says, as both ends see it: a client of bare sockets, and a server that writes down what
it was asked and what it carried out."""

import http.client
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import SimpleQueue

import pytest
from tests.storage_faults.exchanges import Fault, Names, Request
from tests.storage_faults.fault_proxy import PIECE_BYTES, FaultProxy

SILENCE_SECONDS = 0.3
BODY = bytes(range(256)) * (PIECE_BYTES // 256) + b"end"
"""A bit more than one piece of the proxy."""


class Server(ThreadingHTTPServer):
    """`asked`: methods of requests whose head came. `stored`: bodies of PUTs that came whole, by path. `torn`: what
    came of those that were cut."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[str] = []
        self.stored: dict[str, bytes] = {}
        self.torn: SimpleQueue[bytes] = SimpleQueue()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        self.server.asked.append("GET")
        self._answer(self.server.stored[self.path])

    def do_PUT(self) -> None:
        self.server.asked.append("PUT")
        size = int(self.headers["Content-Length"])
        body = self.rfile.read(size)
        if len(body) < size:
            self.server.torn.put(body)
            self.close_connection = True
            return
        self.server.stored[self.path] = body
        self._answer(b"")

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", '"etag"')
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words: object) -> None:
        """Nothing."""


@pytest.fixture(scope="module")
def running() -> Iterator[tuple[Server, FaultProxy]]:
    with Server() as server, FaultProxy(server.endpoint) as proxy:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server, proxy
        server.shutdown()
        thread.join()


@pytest.fixture
def server(running: tuple[Server, FaultProxy]) -> Server:
    """With an object at /there."""
    server, _ = running
    server.asked, server.stored = [], {"/there": BODY}
    return server


@pytest.fixture
def proxy(running: tuple[Server, FaultProxy], server: Server) -> FaultProxy:
    return running[1]


def plan(proxy: FaultProxy, fault: Fault, *, kill: Callable[[], None] = lambda: None) -> None:
    """Let it happen to the first request."""
    proxy.begin(Names(""), lambda request: fault if request.turn == 1 else None, kill=kill)


@contextmanager
def connected(proxy: FaultProxy) -> Iterator[http.client.HTTPConnection]:
    connection = http.client.HTTPConnection(proxy.endpoint.removeprefix("http://"), timeout=SILENCE_SECONDS)
    try:
        yield connection
    finally:
        connection.close()


def put(proxy: FaultProxy) -> tuple[int, bytes]:
    """Of a new object; the answer."""
    return ask(proxy, "PUT", "/new", BODY)


def get(proxy: FaultProxy) -> tuple[int, bytes]:
    return ask(proxy, "GET", "/there")


def ask(proxy: FaultProxy, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
    with connected(proxy) as connection:
        connection.request(method, path, body)
        answer = connection.getresponse()
        return answer.status, answer.read()


def require_reset(proxy: FaultProxy) -> None:
    """A PUT ends with RST. An orderly end would raise RemoteDisconnected, which is one kind of this error."""
    with pytest.raises(ConnectionResetError) as caught:
        put(proxy)
    assert caught.type is ConnectionResetError


def flipped(content: bytes, original: bytes) -> list[tuple[int, int]]:
    """Where they differ, and in which bits."""
    assert len(content) == len(original)
    return [(at, one ^ other) for at, (one, other) in enumerate(zip(content, original, strict=True)) if one != other]


def test_without_a_fault_everything_passes_and_is_written_down(proxy: FaultProxy, server: Server) -> None:
    proxy.begin(Names(""))
    assert put(proxy) == (200, b"")
    assert get(proxy) == (200, BODY)
    assert server.stored["/new"] == BODY
    assert proxy.happened == []
    # Each is written down when all of its answer has been sent.
    deadline = time.monotonic() + 10
    while len(proxy.exchanges) < 2 and time.monotonic() < deadline:
        time.sleep(0.005)
    sizes = [(one.request.method, one.status, one.sent, one.received, one.is_content) for one in proxy.exchanges]
    assert sizes == [("PUT", 200, len(BODY), 0, False), ("GET", 200, 0, len(BODY), True)]


@pytest.mark.parametrize(("fault", "applied"), [(Fault.RESET_BEFORE, False), (Fault.RESET_AFTER, True)])
def test_a_reset_is_one_and_comes_before_or_after_the_server(
    proxy: FaultProxy, server: Server, fault: Fault, applied: bool
) -> None:
    plan(proxy, fault)
    require_reset(proxy)
    assert server.asked == ["PUT"] * applied
    assert ("/new" in server.stored) is applied
    assert put(proxy) == (200, b"")
    assert proxy.happened == [(Request(method="PUT", target="/new", turn=1), fault)]


@pytest.mark.parametrize(
    ("fault", "status", "code"), [(Fault.ERROR, 500, b"InternalError"), (Fault.SLOW_DOWN, 503, b"SlowDown")]
)
def test_an_error_is_answered_and_the_server_has_heard_nothing(
    proxy: FaultProxy, server: Server, fault: Fault, status: int, code: bytes
) -> None:
    plan(proxy, fault)
    answered, body = put(proxy)
    assert answered == status
    assert b"<Code>" + code + b"</Code>" in body
    assert server.asked == []


def test_a_stall_says_nothing_and_the_server_has_heard_nothing(proxy: FaultProxy, server: Server) -> None:
    plan(proxy, Fault.STALL)
    with pytest.raises(TimeoutError):
        put(proxy)
    assert server.asked == []


def test_a_stalled_answer_stops_after_half_of_it(proxy: FaultProxy, server: Server) -> None:
    plan(proxy, Fault.STALLED_ANSWER)
    with connected(proxy) as connection:
        connection.request("GET", "/there")
        answer = connection.getresponse()
        assert answer.read(len(BODY) // 2) == BODY[: len(BODY) // 2]
        with pytest.raises(TimeoutError):
            answer.read(1)
    assert server.asked == ["GET"]


def test_a_stalled_answer_without_a_body_does_not_come(proxy: FaultProxy, server: Server) -> None:
    plan(proxy, Fault.STALLED_ANSWER)
    with pytest.raises(TimeoutError):
        put(proxy)
    assert server.stored["/new"] == BODY


def test_a_cut_body_reaches_the_server_by_half_and_is_not_carried_out(proxy: FaultProxy, server: Server) -> None:
    plan(proxy, Fault.CUT_BODY)
    require_reset(proxy)
    assert server.torn.get(timeout=10) == BODY[: len(BODY) // 2]
    assert server.asked == ["PUT"]
    assert "/new" not in server.stored
    assert put(proxy) == (200, b"")


def test_a_cut_answer_ends_in_good_order_after_half_of_it(proxy: FaultProxy, server: Server) -> None:
    plan(proxy, Fault.CUT_ANSWER)
    with pytest.raises(http.client.IncompleteRead) as caught:
        get(proxy)
    assert caught.value.partial == BODY[: len(BODY) // 2]


def test_wrong_bytes_that_are_sent_differ_in_one_bit(proxy: FaultProxy, server: Server) -> None:
    plan(proxy, Fault.WRONG_BODY)
    assert put(proxy) == (200, b"")
    assert flipped(server.stored["/new"], BODY) == [(len(BODY) // 2, 1)]


def test_wrong_bytes_that_are_received_differ_in_one_bit(proxy: FaultProxy, server: Server) -> None:
    plan(proxy, Fault.WRONG_ANSWER)
    _, body = get(proxy)
    assert flipped(body, BODY) == [(len(BODY) // 2, 1)]
    assert server.stored["/there"] == BODY


@pytest.mark.parametrize(("fault", "applied"), [(Fault.KILL_BEFORE, False), (Fault.KILL_AFTER, True)])
def test_the_kill_comes_before_or_after_the_server(
    proxy: FaultProxy, server: Server, fault: Fault, applied: bool
) -> None:
    killed: list[list[str]] = []
    plan(proxy, fault, kill=lambda: killed.append(sorted(server.stored)))
    require_reset(proxy)
    assert killed == [["/new", "/there"] if applied else ["/there"]]
    assert server.asked == ["PUT"] * applied
