"""Reports of an attempt that runs in a cluster: a ConfigMap, patched with the pod's ServiceAccount token."""

import json
import os
import ssl
from collections.abc import Callable
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path

from paft_api.report import StageReport
from paft_api.stage_pods import REPORT_KEY
from paft_trainer.reporting import ReportNotWritten

TIMEOUT_SECONDS = 5.0
"""For connecting to the API server, and for its answer."""

_PERMANENT = (400, 404, 413, 422)
"""The ConfigMap is gone, or this report will never be taken. A right that is missing (403) may be on its way."""


class ConfigMapReportSink:
    """Keeps the report in one key of a ConfigMap. Its account needs no right but to patch it."""

    def __init__(self, *, namespace: str, name: str, token_file: Path, connect: Callable[[], HTTPConnection]) -> None:
        self._path = f"/api/v1/namespaces/{namespace}/configmaps/{name}?fieldManager=paft-trainer"
        self._name = name
        self._token_file = token_file
        self._connect = connect

    def write(self, report: StageReport) -> None:
        """Replace the key. Raises ReportNotWritten."""
        body = json.dumps({"data": {REPORT_KEY: report.to_json()}})
        try:
            status, answer = self._patch(body)
        except (OSError, HTTPException) as error:
            raise ReportNotWritten(f"{type(error).__name__}: {error}", permanent=False) from error
        if status != 200:
            raise ReportNotWritten(f"{status} {_message_of(answer)}", permanent=status in _PERMANENT)

    def _patch(self, body: str) -> tuple[int, str]:
        headers = {
            # Read each time: the kubelet renews it.
            "Authorization": f"Bearer {self._token_file.read_text(encoding='utf-8').strip()}",
            "Content-Type": "application/merge-patch+json",
        }
        connection = self._connect()
        try:
            connection.request("PATCH", self._path, body.encode(), headers)
            response = connection.getresponse()
            return response.status, response.read().decode(errors="replace")
        finally:
            connection.close()


def pod_api_server(access_directory: Path) -> Callable[[], HTTPConnection]:
    """How a pod reaches the API server; connections to it are checked against the cluster's own authority."""
    host, port = os.environ["KUBERNETES_SERVICE_HOST"], int(os.environ["KUBERNETES_SERVICE_PORT"])

    def connect() -> HTTPConnection:
        context = ssl.create_default_context(cafile=access_directory / "ca.crt")
        return HTTPSConnection(host, port, timeout=TIMEOUT_SECONDS, context=context)

    return connect


def _message_of(answer: str) -> str:
    """The message of a metav1.Status; the answer's beginning where something else answered."""
    try:
        return str(json.loads(answer)["message"])
    except (ValueError, KeyError, TypeError):
        return answer[:200]
