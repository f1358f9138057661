"""A Kubernetes client for tests and benchmarks: manifests in, manifests out, any kind of object.

It adds to the `kubernetes` package's transport what a test needs and the generated classes lack: one way for every
kind, server-side apply, objects as plain dictionaries, and watches that can be stopped.
"""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, NamedTuple, Self
from urllib.parse import quote

from kubernetes.client import ApiClient, Configuration
from kubernetes.client.exceptions import ApiException
from kubernetes.config import load_kube_config
from urllib3.exceptions import HTTPError

Object = dict[str, Any]
"""A Kubernetes object as JSON has it."""
TIMEOUT_SECONDS = 30.0
"""Longest wait for an answer; watches have their own."""
STRATEGIC_MERGE = "application/strategic-merge-patch+json"
MERGE = "application/merge-patch+json"
APPLY = "application/apply-patch+yaml"


class Kind(NamedTuple):
    """A kind of object, as the first two lines of its manifest name it."""

    api_version: str
    kind: str


CONFIG_MAP = Kind("v1", "ConfigMap")
CUSTOM_RESOURCE_DEFINITION = Kind("apiextensions.k8s.io/v1", "CustomResourceDefinition")
EVENT = Kind("v1", "Event")
JOB = Kind("batch/v1", "Job")
NAMESPACE = Kind("v1", "Namespace")
NODE = Kind("v1", "Node")
POD = Kind("v1", "Pod")
SERVICE_ACCOUNT = Kind("v1", "ServiceAccount")


class _Resource(NamedTuple):
    plural: str
    namespaced: bool


class WatchEvent(NamedTuple):
    """One change. `type`: ADDED, MODIFIED, DELETED or BOOKMARK."""

    type: str
    object: Object


class KubernetesClient:
    """Requests of one user; usable by many threads. Refusals are raised as `ApiException`, which has the status."""

    def __init__(self, kubeconfig: Path, *, connections: int = 8) -> None:
        """`connections`: how many requests can run at once."""
        configuration = Configuration()
        load_kube_config(str(kubeconfig), client_configuration=configuration)
        configuration.connection_pool_maxsize = connections
        self._api = ApiClient(configuration)
        self._resources: dict[Kind, _Resource] = {}

    def close(self) -> None:
        """Close all connections."""
        self._api.rest_client.pool_manager.clear()
        self._api.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def apply(
        self,
        manifest: Object,
        *,
        field_manager: str = "tests",
        force: bool = True,
        subresource: str = "",
        dry_run: bool = False,
        strict: bool = True,
    ) -> Object:
        """Server-side apply. `strict`: unknown fields are refused."""
        query = {
            "fieldManager": field_manager,
            "force": str(force).lower(),
            "fieldValidation": "Strict" if strict else "Ignore",
        }
        if dry_run:
            query["dryRun"] = "All"
        return self._request("PATCH", self._path_of(manifest, subresource), manifest, query=query, content_type=APPLY)

    def create(self, manifest: Object, *, dry_run: bool = False) -> Object:
        """Create an object; its name may come from `generateName`."""
        kind, namespace = _kind_of(manifest), manifest["metadata"].get("namespace")
        query = {"fieldValidation": "Strict"} | ({"dryRun": "All"} if dry_run else {})
        return self._request("POST", self._path(kind, namespace), manifest, query=query)

    def replace(self, manifest: Object, *, subresource: str = "", dry_run: bool = False) -> Object:
        """Replace an object; a resourceVersion in it has to be the current one."""
        query = {"dryRun": "All"} if dry_run else {}
        return self._request("PUT", self._path_of(manifest, subresource), manifest, query=query)

    def get(self, kind: Kind, name: str, namespace: str | None = None) -> Object:
        """Read an object."""
        return self._request("GET", self._path(kind, namespace, name))

    def find(self, kind: Kind, name: str, namespace: str | None = None) -> Object | None:
        """Read an object; None where there is none."""
        try:
            return self.get(kind, name, namespace)
        except ApiException as error:
            if error.status != 404:
                raise
            return None

    def list(self, kind: Kind, namespace: str | None = None, *, labels: str = "") -> list[Object]:
        """Objects of a kind, without a namespace those of all. `labels`: a selector."""
        return list(self.list_page(kind, namespace, labels=labels)["items"] or ())

    def list_page(self, kind: Kind, namespace: str | None = None, *, labels: str = "") -> Object:
        """The list as it is answered, with the resourceVersion from which a watch goes on."""
        return self._request("GET", self._path(kind, namespace), query=_selection(labels))

    def patch(
        self,
        kind: Kind,
        name: str,
        namespace: str | None,
        change: Object,
        *,
        subresource: str = "",
        content_type: str = MERGE,
        headers: dict[str, str] | None = None,
    ) -> Object:
        """Change parts of an object, by default as a JSON merge patch."""
        path = self._path(kind, namespace, name, subresource)
        return self._request("PATCH", path, change, content_type=content_type, headers=headers)

    def delete(
        self,
        kind: Kind,
        name: str,
        namespace: str | None = None,
        *,
        propagation: Literal["Background", "Foreground", "Orphan"] = "Background",
        grace_seconds: int | None = None,
        uid: str | None = None,
    ) -> None:
        """Delete an object; no error where there is none. `uid`: only if it is this very one (else 409)."""
        options: Object = {"propagationPolicy": propagation}
        if grace_seconds is not None:
            options["gracePeriodSeconds"] = grace_seconds
        if uid is not None:
            options["preconditions"] = {"uid": uid}
        try:
            self._request("DELETE", self._path(kind, namespace, name), options)
        except ApiException as error:
            if error.status != 404:
                raise

    def post(self, kind: Kind, name: str, namespace: str | None, subresource: str, document: Object) -> Object:
        """POST to a subresource, such as a Pod's binding or a ServiceAccount's token."""
        return self._request("POST", self._path(kind, namespace, name, subresource), document)

    def watch(
        self, kind: Kind, namespace: str | None = None, *, labels: str = "", resource_version: str, seconds: int = 300
    ) -> "Watch":
        """Changes after `resource_version`, until the server ends the watch after `seconds` or `stop` is called."""
        query = {"watch": "true", "resourceVersion": resource_version, "timeoutSeconds": str(seconds)}
        response = self._api.rest_client.GET(
            self._api.configuration.host + self._path(kind, namespace),
            headers=self._headers({}),
            query_params=list((query | _selection(labels)).items()),
            _preload_content=False,
            _request_timeout=(TIMEOUT_SECONDS, seconds + TIMEOUT_SECONDS),
        )
        return Watch(response)

    def wait_for(
        self,
        kind: Kind,
        name: str,
        namespace: str | None,
        is_met: Callable[[Object], object],
        *,
        seconds: float = 30,
    ) -> Object:
        """Read an object until it is there and `is_met` says yes; TimeoutError with its last state."""
        deadline = time.monotonic() + seconds
        while True:
            found = self.find(kind, name, namespace)
            if found is not None and is_met(found):
                return found
            if time.monotonic() > deadline:
                raise TimeoutError(f"{kind.kind} {namespace}/{name} after {seconds} s: {json.dumps(found, indent=1)}")
            time.sleep(0.05)

    def _request(
        self,
        method: str,
        path: str,
        body: Object | None = None,
        *,
        query: dict[str, str] | None = None,
        content_type: str = "application/json",
        headers: dict[str, str] | None = None,
    ) -> Object:
        try:
            response = self._api.rest_client.request(
                method,
                self._api.configuration.host + path,
                query_params=list((query or {}).items()),
                headers=self._headers({"Content-Type": content_type} | (headers or {})),
                body=body,
                _request_timeout=TIMEOUT_SECONDS,
            )
        except ApiException as error:
            # What the generated classes of that package do for their callers.
            error.body = error.body.decode()
            raise
        document: Object = json.loads(response.data)
        return document

    def _headers(self, headers: dict[str, str]) -> dict[str, str]:
        token = self._api.configuration.get_api_key_with_prefix("BearerToken")
        return {"Accept": "application/json"} | headers | ({"Authorization": token} if token else {})

    def _path_of(self, manifest: Object, subresource: str = "") -> str:
        metadata = manifest["metadata"]
        return self._path(_kind_of(manifest), metadata.get("namespace"), metadata["name"], subresource)

    def _path(self, kind: Kind, namespace: str | None, name: str = "", subresource: str = "") -> str:
        resource = self._resource(kind)
        scope = f"/namespaces/{namespace}" if namespace and resource.namespaced else ""
        rest = "".join(f"/{quote(part)}" for part in (name, subresource) if part)
        return f"{_group_path(kind.api_version)}{scope}/{resource.plural}{rest}"

    def _resource(self, kind: Kind) -> _Resource:
        if kind not in self._resources:
            answer = self._request("GET", _group_path(kind.api_version))
            for found in answer["resources"]:
                if "/" not in found["name"]:
                    self._resources[Kind(kind.api_version, found["kind"])] = _Resource(
                        found["name"], found["namespaced"]
                    )
        if kind not in self._resources:
            raise LookupError(f"the API server does not serve {kind.kind} in {kind.api_version}")
        return self._resources[kind]


class Watch:
    """A running watch: iterate over its events."""

    def __init__(self, response: Any) -> None:
        self._response = response
        self._is_stopped = False

    def __iter__(self) -> Iterator[WatchEvent]:
        """Events until the watch ends; `ApiException` where the server tells an error, such as 410."""
        unread = b""
        try:
            for chunk in self._response.stream(amt=65536):
                # Shutting down takes the TLS layer off the socket: what is read after that is ciphertext.
                if self._is_stopped:
                    return
                *lines, unread = (unread + chunk).split(b"\n")
                for line in lines:
                    yield _event(json.loads(line))
        except (HTTPError, ValueError):
            if not self._is_stopped:
                raise

    def stop(self) -> None:
        """End it, from any thread."""
        self._is_stopped = True
        # It may have ended by itself a moment ago, and then there is nothing to shut down.
        with suppress(RuntimeError, ValueError):
            self._response.shutdown()

    def close(self) -> None:
        """Let go of the connection, after the iteration."""
        self._response.close()


def _event(document: Object) -> WatchEvent:
    if document["type"] == "ERROR":
        raise ApiException(status=document["object"]["code"], reason=document["object"]["message"])
    return WatchEvent(document["type"], document["object"])


def _kind_of(manifest: Object) -> Kind:
    return Kind(manifest["apiVersion"], manifest["kind"])


def _group_path(api_version: str) -> str:
    return f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"


def _selection(labels: str) -> dict[str, str]:
    return {"labelSelector": labels} if labels else {}
