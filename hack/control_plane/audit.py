"""The API server's audit log: who asked for what, and what came of it."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

POLICY = """\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived, ResponseStarted]
rules:
- level: Metadata
"""
"""Metadata of every request, no bodies: those may hold secrets."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AuditRecord:
    """One request. `resource` has the subresource behind a slash, as RBAC rules name it; `path` is set where none is.

    `user`: the impersonated one, where a request impersonates. `code`: the HTTP status that was answered.
    """

    user: str
    verb: str
    group: str
    resource: str
    namespace: str
    name: str
    path: str
    code: int


def read_audit_log(path: Path) -> Iterator[AuditRecord]:
    """All complete requests so far, in the order in which they ended. A watch ends when it is closed."""
    with path.open("rb") as log:
        for line in log:
            # The API server may be in the middle of the last line.
            if line.endswith(b"\n"):
                yield _record(json.loads(line))


def _record(event: dict[str, Any]) -> AuditRecord:
    reference = event.get("objectRef", {})
    resource = "/".join(filter(None, (reference.get("resource"), reference.get("subresource"))))
    return AuditRecord(
        user=event.get("impersonatedUser", event["user"])["username"],
        verb=event["verb"],
        group=reference.get("apiGroup", ""),
        resource=resource,
        namespace=reference.get("namespace", ""),
        name=reference.get("name", ""),
        path="" if resource else event["requestURI"],
        code=event.get("responseStatus", {}).get("code", 0),
    )
