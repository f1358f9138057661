"""The PaftJobs of one namespace."""

import difflib
from contextlib import suppress
from pathlib import Path
from typing import Any

from paft_cli.cluster.api_server import APPLY, MERGE, ApiServer, Object, RequestRefused
from paft_cli.cluster.connection import connect
from paft_cli.errors import CommandError
from paft_cli.job_document import JobDocument, read_job_document
from paft_cli.targets import ClusterOptions
from paft_operator.cluster.resources import PAFT_JOBS

FIELD_MANAGER = "paft"
"""Owner of what `paft submit` applies."""

_MOST_NAMES = 10


class PaftJobs:
    """Reads and changes them. Everything raises CommandError, in words."""

    def __init__(self, server: ApiServer) -> None:
        self.server = server
        self.connection = server.connection

    @classmethod
    def of(cls, options: ClusterOptions) -> "PaftJobs":
        """Those that the command line means. Asks nobody yet."""
        return cls(ApiServer(connect(options)))

    def get(self, name: str) -> JobDocument:
        """One of them. A name that is not there is told with what may have been meant."""
        found = self.find(name)
        if found is None:
            raise self.missing(name)
        return found

    def find(self, name: str, namespace: str | None = None) -> JobDocument | None:
        """One of them; None where there is none of this name."""
        try:
            return read_job_document(self.server.get(self._path(name, namespace)))
        except RequestRefused as error:
            if _is_missing(error, PAFT_JOBS.plural):
                return None
            raise

    def apply(self, manifest: Object, *, dry_run: bool, force: bool) -> JobDocument:
        """Server-side apply. Raises RequestRefused, with 409 for fields that others own and 422 for wrong ones."""
        metadata = manifest["metadata"]
        query = {"fieldManager": FIELD_MANAGER, "fieldValidation": "Strict", "force": str(force).lower()}
        if dry_run:
            query["dryRun"] = "All"
        path = self._path(metadata["name"], metadata["namespace"])
        return read_job_document(self.server.patch(path, manifest, content_type=APPLY, query=query).document)

    def change(self, name: str, change: Object, *, field_manager: str) -> JobDocument:
        """Merge a change into one of them."""
        try:
            answer = self.server.patch(
                self._path(name), change, content_type=MERGE, query={"fieldManager": field_manager}
            )
        except RequestRefused as error:
            if _is_missing(error, PAFT_JOBS.plural):
                raise self.missing(name) from error
            raise
        return read_job_document(answer.document)

    def missing(self, name: str) -> CommandError:
        """That there is none of this name, and what may have been meant."""
        namespace = self.connection.namespace
        text = f"there is no PaftJob {name} in namespace {namespace} (context {self.connection.context})"
        elsewhere = self._namespaces_with(name)
        names = self._names()
        close = difflib.get_close_matches(name, names, n=3)
        if elsewhere:
            text += f"; there is one in namespace {_some(elsewhere)}: name the namespace with -n"
        elif close:
            text += f"; did you mean {' or '.join(close)}?"
        elif names:
            text += f"; there are: {_some(names)}"
        elif not self._has_namespace(namespace):
            text += f"; the namespace {namespace} does not exist: name another with -n"
        if Path(name).is_file():
            text += f". For the file of that name write ./{name}"
        return CommandError(text)

    def _path(self, name: str = "", namespace: str | None = None) -> str:
        return PAFT_JOBS.path(namespace or self.connection.namespace, name)

    def _names(self) -> list[str]:
        # Who may read one PaftJob may not be allowed to list them all.
        with suppress(RequestRefused):
            return [item["metadata"]["name"] for item in _items(self.server.get(self._path()))]
        return []

    def _namespaces_with(self, name: str) -> list[str]:
        with suppress(RequestRefused):
            listed = self.server.get(PAFT_JOBS.path(None), {"fieldSelector": f"metadata.name={name}"})
            return [item["metadata"]["namespace"] for item in _items(listed)]
        return []

    def _has_namespace(self, namespace: str) -> bool:
        try:
            self.server.get(f"/api/v1/namespaces/{namespace}")
        except RequestRefused as error:
            return not _is_missing(error, "namespaces")
        return True


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return ", ".join(names[:_MOST_NAMES]) + more


def _items(listed: Object) -> list[dict[str, Any]]:
    return list(listed["items"] or ())


def _is_missing(error: RequestRefused, plural: str) -> bool:
    return error.status == 404 and error.details.get("kind") == plural and bool(error.details.get("name"))
