"""Requests to the API server, and what it refuses in words.

CommandError
├── RequestRefused    an answer that is no success
└── Unreachable       no answer, or one that broke off
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import HTTPError

from paft_cli.cluster.connection import Connection
from paft_cli.errors import CommandError

Object = dict[str, Any]
"""An object of Kubernetes as JSON."""

APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"
_ANONYMOUS = 'User "system:anonymous"'
_CONNECT_SECONDS = 10.0
_ANSWER_SECONDS = 30.0


class Answer(NamedTuple):
    """A success."""

    status: int
    document: Object


class RequestRefused(CommandError):
    """An answer that is no success. `details`: the field of that name in its Status; empty where there is none."""

    def __init__(self, message: str, *, status: int, said: str, details: Mapping[str, Any]) -> None:
        super().__init__(message)
        self.status = status
        self.said = said
        self.details = details

    @property
    def is_transient(self) -> bool:
        """Whether the same request may succeed later."""
        return self.status in (429, 500, 502, 503, 504)


class Unreachable(CommandError):
    """No answer, or one that broke off."""


class ApiServer:
    """Requests with the rights of one user. They raise RequestRefused and Unreachable."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def get(self, path: str, query: Mapping[str, str] | None = None) -> Object:
        """Read an object or a list."""
        return self._request("GET", path, query or {}).document

    def patch(self, path: str, body: Object, *, content_type: str, query: Mapping[str, str]) -> Answer:
        """Change or apply an object."""
        return self._request("PATCH", path, query, body=body, content_type=content_type)

    def stream(self, path: str, query: Mapping[str, str], *, read_seconds: float | None) -> Iterator[bytes]:
        """An answer as it comes in. `read_seconds`: longest silence; None for any."""
        response = self._send("GET", path, query, timeout=(_CONNECT_SECONDS, read_seconds), is_streamed=True)
        try:
            yield from response.stream(amt=65536)
        except HTTPError as error:
            raise self._unreachable(error) from error
        finally:
            response.close()

    def _request(
        self, method: str, path: str, query: Mapping[str, str], *, body: Object | None = None, content_type: str = ""
    ) -> Answer:
        timeout = (_CONNECT_SECONDS, _ANSWER_SECONDS)
        response = self._send(method, path, query, body=body, content_type=content_type, timeout=timeout)
        return Answer(response.status, json.loads(response.data))

    def _send(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        *,
        timeout: tuple[float, float | None],
        body: Object | None = None,
        content_type: str = "",
        is_streamed: bool = False,
    ) -> Any:
        client = self.connection.client
        token = client.configuration.get_api_key_with_prefix("BearerToken")
        headers = {
            "Accept": "application/json",
            "User-Agent": "paft",
            "Content-Type": content_type or "application/json",
        }
        try:
            return client.rest_client.request(
                method,
                self.connection.server + path,
                query_params=list(query.items()),
                headers=headers | ({"Authorization": token} if token else {}),
                body=body,
                _preload_content=not is_streamed,
                _request_timeout=timeout,
            )
        except ApiException as error:
            # This is how that package tells of certificates that do not fit.
            if error.status == 0:
                raise self._unreachable(error.reason) from error
            raise self._refused(error) from error
        except HTTPError as error:
            raise self._unreachable(error) from error

    def _unreachable(self, why: object) -> Unreachable:
        connection = self.connection
        return Unreachable(
            f"the API server {connection.server} of context {connection.context} does not answer: {why}; "
            "see that the cluster runs and can be reached from here, or name another --context"
        )

    def _refused(self, error: ApiException) -> RequestRefused:
        text = error.body.decode(errors="replace").strip() if error.body else ""
        answer = _status_in(text)
        said = str(answer.get("message") or text or error.reason)
        details = answer.get("details") or {}
        # Where an object is missing its name is told; where its kind is not served there is nothing to name.
        is_kind_missing = error.status == 404 and "name" not in details
        return RequestRefused(
            self._explain(error.status, said, is_kind_missing=is_kind_missing),
            status=error.status,
            said=said,
            details=details,
        )

    def _explain(self, status: int, said: str, *, is_kind_missing: bool) -> str:
        connection = self.connection
        # Without credentials one is somebody all the same, who may do nothing.
        if status == 401 or _ANONYMOUS in said:
            return (
                f"the API server {connection.server} does not accept the credentials of context {connection.context}: "
                f"{said}; log in to the cluster again, or name another --context"
            )
        if status == 403:
            return (
                f"you may not do this: {said}\nAsk for the cluster role view (to look) or edit (to submit and change) "
                f"in namespace {connection.namespace}; both include PaftJobs where the operator's chart is installed."
            )
        if is_kind_missing:
            return (
                f"the cluster of context {connection.context} knows no PaftJobs: their CustomResourceDefinition is not "
                "installed; install the chart helm/paft-operator, or name another --context"
            )
        return f"the API server {connection.server} answered with {status}: {said}"


def _status_in(text: str) -> Object:
    """The Status object in an answer; empty for one that is something else, as of a proxy."""
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) and found.get("kind") == "Status" else {}
