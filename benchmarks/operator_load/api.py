"""What the benchmark asks of the API server, with as little work of its own as possible."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp

from paft_operator.cluster.connection import Connection
from paft_operator.cluster.resources import Object, Resource

APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"
STRATEGIC_MERGE = "application/strategic-merge-patch+json"

_PAGE_SIZE = 500
_TRIES = 5
_TRANSIENT = (429, 500, 503, 504)
_LONGEST_LINE = 4 * 1024 * 1024


class Refused(Exception):
    """The API server said no."""


class Api:
    """Requests with the kubeconfig that the environment names, `connections` of them at once."""

    def __init__(self, connection: Connection, *, connections: int = 32) -> None:
        self._headers = connection.headers()
        self._server = connection.info.server.rstrip("/")
        self._slots = asyncio.Semaphore(connections)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=connection.info.as_ssl_context()),
            timeout=aiohttp.ClientTimeout(total=None, sock_read=None),
            read_bufsize=_LONGEST_LINE,
        )

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()

    async def create(self, resource: Resource, manifest: Object) -> Object:
        """POST."""
        return await self._send("POST", resource.path(manifest["metadata"]["namespace"]), manifest, "application/json")

    async def get(self, resource: Resource, namespace: str, name: str) -> Object:
        """GET."""
        return await self._send("GET", resource.path(namespace, name))

    async def patch(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        change: Object,
        *,
        subresource: str = "",
        content_type: str = MERGE,
        field_manager: str = "benchmark",
    ) -> Object:
        """PATCH; with APPLY it takes over fields of others."""
        query = f"?fieldManager={field_manager}" + ("&force=true" if content_type == APPLY else "")
        return await self._send("PATCH", resource.path(namespace, name, subresource) + query, change, content_type)

    async def list(self, resource: Resource, namespace: str) -> tuple[list[Object], str]:
        """All objects and the version from which a watch goes on."""
        items: list[Object] = []
        following = ""
        while True:
            path = f"{resource.path(namespace)}?limit={_PAGE_SIZE}" + (f"&continue={following}" if following else "")
            answer = await self._send("GET", path)
            items += answer["items"] or []
            following = answer["metadata"].get("continue", "")
            if not following:
                return items, answer["metadata"]["resourceVersion"]

    async def watch(self, resource: Resource, namespace: str, version: str) -> AsyncIterator[Object]:
        """Changed objects from a version on, until the server ends it."""
        url = f"{self._server}{resource.path(namespace)}?watch=true&resourceVersion={version}&timeoutSeconds=3600"
        async with self._session.get(url, headers=self._headers) as response:
            async for line in response.content:
                event = json.loads(line)
                if event["type"] == "ERROR":
                    raise Refused(str(event["object"]))
                yield event["object"]

    async def _send(self, method: str, path: str, body: Object | None = None, content_type: str = "") -> Object:
        request: dict[str, Any] = {"headers": self._headers | {"Accept": "application/json"}}
        if body is not None:
            request["data"] = json.dumps(body).encode()
            request["headers"]["Content-Type"] = content_type
        for attempt in range(_TRIES):
            async with self._slots, self._session.request(method, self._server + path, **request) as response:
                content = await response.read()
            if response.status < 400:
                answer: Object = json.loads(content)
                return answer
            if response.status not in _TRANSIENT:
                break
            await asyncio.sleep(0.2 * 2.0**attempt)
        raise Refused(f"{method} {path}: {response.status}: {content.decode(errors='replace')[:500]}")
