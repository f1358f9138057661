"""A small client of the Kubernetes API on aiohttp: manifests in, manifests out.

Requests that fail for a moment (no answer, 429, 5xx) are repeated a few times here, so that a sequence of them gets
through in bad times; everything longer is the work queue's. All requests may be repeated without harm.
"""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any, Literal

import aiohttp
from pydantic_core import from_json

from paft_operator.cluster.connection import Connection
from paft_operator.cluster.errors import ApiError, ApiUnreachable
from paft_operator.cluster.resources import Object, Resource

FIELD_MANAGER = "paft-operator"
PAGE_SIZE = 100
"""Objects per page of a list. Few: what is kept of them lies scattered in the memory that a whole page took."""

_TRIES = 4
_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 5.0
"""Seconds. Where the server asks for more, the request fails and the work queue waits."""

_APPLY = "application/apply-patch+yaml"
_MERGE = "application/merge-patch+json"
_JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a list. `version`: resourceVersion of the whole list, the same for all its pages."""

    items: list[Object]
    version: int


class ApiClient:
    """Requests to one API server. `before_write` is called before each write is sent, and may raise to prevent it."""

    def __init__(
        self, connection: Connection, *, timeout_seconds: float, before_write: Callable[[], None] = lambda: None
    ) -> None:
        self._connection = connection
        self._before_write = before_write
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=64, ssl=connection.info.as_ssl_context()),
            timeout=aiohttp.ClientTimeout(total=timeout_seconds),
            headers={"User-Agent": FIELD_MANAGER},
            proxy=connection.info.proxy_url,
        )

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()

    async def get(self, resource: Resource, namespace: str, name: str) -> Object | None:
        """The object as it is now, not as some cache has it; None where there is none."""
        try:
            return await self._send("GET", resource.path(namespace, name))
        except ApiError as error:
            if error.is_not_found:
                return None
            raise

    async def pages(self, resource: Resource, namespace: str | None, *, labels: str = "") -> AsyncIterator[Page]:
        """All objects as they are now, page by page. `labels`: a selector."""
        query = {"limit": str(PAGE_SIZE)} | ({"labelSelector": labels} if labels else {})
        while True:
            answer = await self._send("GET", resource.path(namespace), query=query)
            yield Page(items=answer["items"] or [], version=int(answer["metadata"]["resourceVersion"]))
            following = answer["metadata"].get("continue")
            if not following:
                return
            query["continue"] = following

    async def create(self, resource: Resource, manifest: Object) -> Object:
        """Create an object; ApiError with `is_conflict` where one of this name exists.

        Unknown fields are refused: what a user has added to a pod's template would else vanish without a word.
        """
        query = {"fieldManager": FIELD_MANAGER, "fieldValidation": "Strict"}
        return await self._send("POST", resource.path(manifest["metadata"]["namespace"]), body=manifest, query=query)

    async def apply(self, resource: Resource, manifest: Object, *, subresource: str = "") -> Object:
        """Server-side apply, taking over fields of others. A resourceVersion in it has to be the current one."""
        metadata = manifest["metadata"]
        path = resource.path(metadata["namespace"], metadata["name"], subresource)
        query = {"fieldManager": FIELD_MANAGER, "force": "true"}
        return await self._send("PATCH", path, body=manifest, query=query, content_type=_APPLY)

    async def merge(self, resource: Resource, namespace: str, name: str, change: Object) -> Object | None:
        """JSON merge patch; None where there is no such object."""
        query = {"fieldManager": FIELD_MANAGER}
        try:
            return await self._send(
                "PATCH", resource.path(namespace, name), body=change, query=query, content_type=_MERGE
            )
        except ApiError as error:
            if error.is_not_found:
                return None
            raise

    async def replace(self, resource: Resource, manifest: Object) -> Object:
        """Replace an object; the resourceVersion in it has to be the current one."""
        metadata = manifest["metadata"]
        return await self._send("PUT", resource.path(metadata["namespace"], metadata["name"]), body=manifest)

    async def delete(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        *,
        uid: str | None = None,
        propagation: Literal["Background", "Foreground"] = "Background",
    ) -> None:
        """Delete an object; nothing where there is none. `uid`: only this very one, else ApiError (`is_conflict`)."""
        options: Object = {"propagationPolicy": propagation}
        if uid is not None:
            options["preconditions"] = {"uid": uid}
        try:
            await self._send("DELETE", resource.path(namespace, name), body=options)
        except ApiError as error:
            if not error.is_not_found:
                raise

    async def is_served(self, resource: Resource) -> bool:
        """Whether the API server knows this kind of object."""
        try:
            answer = await self._send("GET", f"/apis/{resource.api_version}")
        except ApiError as error:
            if error.is_not_found:
                return False
            raise
        return any(one["name"] == resource.plural for one in answer["resources"])

    async def _send(self, method: str, path: str, **request: Any) -> Object:
        for attempt in range(_TRIES):
            try:
                return await self._send_once(method, path, **request)
            except (ApiError, ApiUnreachable) as error:
                is_last = attempt == _TRIES - 1
                is_final = isinstance(error, ApiError) and not error.is_transient and error.status != 401
                if is_last or is_final or error.retry_after > _LONGEST_PAUSE:
                    raise
                pause = min(_FIRST_PAUSE * 4**attempt, _LONGEST_PAUSE) * random.uniform(0.7, 1.3)
                await asyncio.sleep(max(pause, error.retry_after))
        raise AssertionError("the last try returns or raises")

    async def _send_once(
        self,
        method: str,
        path: str,
        *,
        body: Object | None = None,
        query: dict[str, str] | None = None,
        content_type: str = _JSON,
    ) -> Object:
        if method != "GET":
            self._before_write()
        try:
            async with self._session.request(
                method,
                self._connection.info.server.rstrip("/") + path,
                params=query,
                data=json.dumps(body).encode() if body is not None else None,
                headers=self._connection.headers() | {"Content-Type": content_type, "Accept": _JSON},
            ) as response:
                content = await response.read()
                status, headers = response.status, response.headers
        except (aiohttp.ClientError, TimeoutError) as error:
            raise ApiUnreachable(f"{method} {path}: {type(error).__name__}: {error}") from error
        if status == 401:
            self._connection.read_again()
        if status >= 400:
            raise _error_of(status, content, headers.get("Retry-After", ""))
        return _document_of(content, f"{method} {path}")


def _document_of(content: bytes, request: str) -> Object:
    try:
        document: Object = from_json(content)
    except ValueError as error:
        raise ApiUnreachable(f"{request}: something answered that is no API server: {error}") from error
    return document


def _error_of(status: int, content: bytes, retry_after: str) -> ApiError:
    try:
        document = from_json(content)
    except ValueError:
        document = None
    said = document if isinstance(document, dict) else {}
    return ApiError(
        status,
        reason=str(said.get("reason", "")),
        message=str(said.get("message", content.decode(errors="replace")[:500])),
        retry_after=float(retry_after) if retry_after.isdecimal() else 0.0,
    )
