"""An HTTP proxy before the real API server that breaks watches, lets them expire, or does not answer for a while."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from kubernetes.client import ApiClient, Configuration
from kubernetes.config import load_kube_config
from urllib3.exceptions import HTTPError


class InterruptingProxy:
    """`requests`: "list" and "watch", in the order in which they came. Passes everything on as one user."""

    def __init__(self, kubeconfig: Path) -> None:
        configuration = Configuration()
        load_kube_config(str(kubeconfig), client_configuration=configuration)
        self._api = ApiClient(configuration)
        self._watches: list[socket.socket] = []
        self.requests: list[str] = []
        self.is_down = False
        """Every request is answered with 503."""
        self.is_forgetful = False
        """The next watch begins at a version that the API server does not remember."""

    @contextmanager
    def serving(self) -> Iterator[str]:
        """The URL."""
        server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, name="interrupting-proxy")
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            self.break_watches()
            server.shutdown()
            server.server_close()
            thread.join()
            self._api.rest_client.pool_manager.clear()

    @property
    def watches(self) -> int:
        """How many run."""
        return len(self._watches)

    def break_watches(self) -> None:
        """End all connections of watches, in the middle of their answers."""
        for connection in list(self._watches):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def get(self, path: str, query: dict[str, str]) -> Any:
        """The API server's answer, as it comes in."""
        return self._api.rest_client.pool_manager.request(
            "GET",
            f"{self._api.configuration.host}{path}?{urlencode(query)}",
            headers={"Accept": "application/json"},
            preload_content=False,
        )

    @contextmanager
    def watching(self, connection: socket.socket) -> Iterator[None]:
        """A watch that can be broken."""
        self._watches.append(connection)
        try:
            yield
        finally:
            self._watches.remove(connection)


def _handler(proxy: InterruptingProxy) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.close_connection = True
            url = urlsplit(self.path)
            query = dict(parse_qsl(url.query))
            if proxy.is_down:
                self.send_error(503)
                return
            is_watch = query.get("watch") == "true"
            proxy.requests.append("watch" if is_watch else "list")
            if is_watch and proxy.is_forgetful:
                proxy.is_forgetful = False
                query["resourceVersion"] = "1"
            response = proxy.get(url.path, query)
            with suppress(OSError, HTTPError), proxy.watching(self.connection) if is_watch else nullcontext():
                self._pass_on(response)
            response.close()

        def _pass_on(self, response: Any) -> None:
            self.send_response(response.status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for chunk in response.stream(amt=65536):
                self.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
                self.wfile.flush()
            self.wfile.write(b"0\r\n\r\n")

        def log_message(self, *args: object) -> None:
            """Quiet."""

    return Handler
