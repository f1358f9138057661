"""Requests of the operator, as the fault proxy sees them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from paft_api import labels

WRITES = ("POST", "PUT", "PATCH", "DELETE")
UNCOUNTED = ("leases", "events")
"""What does not change a PaftJob or its children: leadership, and what is told to people."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """One request. `number`: which of the counted writes of the current run it is, from 1; 0 where it is none.

    `origin`: index of the operator it comes from.
    """

    method: str
    path: str
    query: Mapping[str, str]
    body: bytes
    resource: str
    name: str
    subresource: str
    number: int = 0
    origin: int = 0

    @property
    def is_write(self) -> bool:
        """Whether it may change something."""
        return self.method in WRITES

    @property
    def is_watch(self) -> bool:
        """Whether its answer is a stream of events."""
        return self.query.get("watch") == "true"

    @property
    def is_list(self) -> bool:
        """Whether it reads all objects of a kind."""
        return self.method == "GET" and bool(self.resource) and not self.name and not self.is_watch

    def told_for(self, job: str) -> str:
        """What it does, in words that do not have the PaftJob's name in them."""
        parts = (self.method, self.resource, self.name.replace(job, "JOB", 1), self.subresource)
        return " ".join(part for part in parts if part)

    def concerns(self, job: str) -> bool:
        """Whether it is about a PaftJob of this name or a child of it."""
        return self.name == job or self.name.startswith(f"{job}-")


def call_of(method: str, path: str, query: Mapping[str, str], body: bytes) -> Call:
    """The call that a request is. An object that is created has its name in the body only."""
    parts = path.strip("/").split("/")
    rest = parts[2:] if parts[0] == "api" else parts[3:]
    if len(rest) > 2 and rest[0] == "namespaces":
        rest = rest[2:]
    resource, name, subresource = (*rest, "", "", "")[:3]
    if method == "POST":
        name = str(json.loads(body)["metadata"].get("name", ""))
    return Call(method=method, path=path, query=query, body=body, resource=resource, name=name, subresource=subresource)


def job_of(manifest: Mapping[str, Any]) -> str:
    """Name of the PaftJob that an object is or belongs to; empty where it is neither."""
    metadata = manifest["metadata"]
    if manifest.get("kind") == "PaftJob":
        return str(metadata["name"])
    return str(metadata.get("labels", {}).get(labels.JOB_NAME, ""))
