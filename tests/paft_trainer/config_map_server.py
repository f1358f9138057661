"""A real HTTP server on loopback that takes patches of ConfigMaps, or refuses them as told."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class ConfigMapServer:
    """What came in, and what is answered: the status codes in turn, then 200."""

    port: int
    answers: list[int] = field(default_factory=list)
    requests: list[tuple[str, str, str, dict[str, Any]]] = field(default_factory=list)
    """Path, authorization, content type and document of each."""

    def written(self) -> list[dict[str, Any]]:
        """The reports in the requests, in order."""
        return [json.loads(document["data"]["report.json"]) for _, _, _, document in self.requests]


@contextmanager
def config_map_server() -> Iterator[ConfigMapServer]:
    """Runs in a thread until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        def do_PATCH(self) -> None:
            document = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            state.requests.append((self.path, self.headers["Authorization"], self.headers["Content-Type"], document))
            status = state.answers.pop(0) if state.answers else 200
            body = json.dumps({"kind": "Status", "message": f"said {status}"}).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
            """Nothing: the tests look at the requests."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state = ConfigMapServer(port=server.server_port)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
