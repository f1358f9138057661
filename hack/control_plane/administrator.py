"""What starting a control plane asks of the API server, as its administrator; the standard library is enough for it."""

import http.client
import json
import ssl
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

TIMEOUT_SECONDS = 10.0


class Administrator:
    """Requests with the administrator's certificate."""

    def __init__(self, server: str, *, authority: Path, certificate: Path, key: Path) -> None:
        self._address = urlsplit(server).netloc
        self._tls = ssl.create_default_context(cafile=authority)
        self._tls.load_cert_chain(certificate, key)

    def finds(self, path: str) -> bool:
        """Whether GET is answered with 200; also False while nobody answers."""
        try:
            return self._request("GET", path, None)[0] == http.client.OK
        except (OSError, http.client.HTTPException):
            return False

    def post(self, path: str, document: dict[str, Any]) -> dict[str, Any]:
        """POST a document; returns the answer, and raises RuntimeError on a refusal."""
        status, body = self._request("POST", path, json.dumps(document))
        answer: dict[str, Any] = json.loads(body)
        if status != http.client.CREATED:
            raise RuntimeError(f"POST {path} was answered with {status}: {answer['message']}")
        return answer

    def _request(self, method: str, path: str, body: str | None) -> tuple[int, bytes]:
        connection = http.client.HTTPSConnection(self._address, timeout=TIMEOUT_SECONDS, context=self._tls)
        try:
            connection.request(method, path, body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()
