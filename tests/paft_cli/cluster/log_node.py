"""A Node whose kubelet serves container logs, and nothing else: what the API server asks for `pods/log`."""

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from hack.control_plane.certificates import CertificateAuthority
from hack.control_plane.client import NODE, KubernetesClient


class LogNode:
    """`requests`: path and query of every request. A log ends where `finish` was called for its pod."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.requests: list[str] = []
        self._lines: dict[str, list[bytes]] = {}
        self._finished: set[str] = set()
        self._changed = threading.Condition()

    def write(self, pod: str, line: str) -> None:
        """A line of a pod's container."""
        with self._changed:
            self._lines.setdefault(pod, []).append(line.encode() + b"\n")
            self._changed.notify_all()

    def finish(self, pod: str) -> None:
        """The pod's container has ended."""
        with self._changed:
            self._finished.add(pod)
            self._changed.notify_all()

    def lines(self, pod: str, *, follow: bool) -> Iterator[bytes]:
        """What the kubelet sends."""
        sent = 0
        while True:
            with self._changed:
                written = self._lines.get(pod, [])[sent:]
                is_over = not follow or pod in self._finished
                if not written and not is_over:
                    self._changed.wait(1)
                    continue
            yield from written
            sent += len(written)
            if is_over:
                return

    @contextmanager
    def serving(self, client: KubernetesClient, folder: Path) -> Iterator["LogNode"]:
        """Be a Node of the cluster."""
        certificate, key = CertificateAuthority().server(self.name, addresses=("127.0.0.1",)).write(folder, self.name)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        server.daemon_threads = True
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, name=self.name)
        thread.start()
        try:
            client.apply({"apiVersion": "v1", "kind": "Node", "metadata": {"name": self.name}})
            client.patch(NODE, self.name, None, {"status": _status(server.server_port)}, subresource="status")
            yield self
        finally:
            client.delete(NODE, self.name)
            server.shutdown()
            server.server_close()
            thread.join()


def _status(port: int) -> dict[str, object]:
    return {
        "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": port}},
    }


def _handler(node: LogNode) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            node.requests.append(self.path)
            url = urlsplit(self.path)
            _, _, _, pod, container = url.path.split("/")
            follow = parse_qs(url.query).get("follow") == ["true"]
            self.send_response(200 if container == "trainer" else 404)
            self.end_headers()
            for line in node.lines(pod, follow=follow):
                self.wfile.write(line)
                self.wfile.flush()

        def log_message(self, *args: object) -> None:
            """Quiet."""

    return Handler
