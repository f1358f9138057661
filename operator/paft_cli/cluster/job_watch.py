"""A PaftJob as it changes, through expired watches and connections that break."""

import json
import time
from collections.abc import Callable, Iterator

from paft_cli.cluster.api_server import Object, RequestRefused, Unreachable
from paft_cli.cluster.paft_jobs import PaftJobs
from paft_cli.errors import EXIT_FAILED, CommandError
from paft_cli.job_document import JobDocument, read_job_document
from paft_operator.cluster.resources import PAFT_JOBS

_WATCH_SECONDS = 60
_SILENCE_SECONDS = _WATCH_SECONDS + 15.0
"""After which a watch is taken for dead: the server ends it earlier."""

_FIRST_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 30.0


class _Expired(Exception):
    """The API server remembers nothing from before: list anew."""


class JobWatch:
    """Watches one PaftJob. `on_trouble` is told of an outage once, and once that it is over."""

    def __init__(self, jobs: PaftJobs, name: str, *, on_trouble: Callable[[str], None]) -> None:
        self._jobs = jobs
        self._server = jobs.server
        self._name = name
        self._path = PAFT_JOBS.path(jobs.connection.namespace)
        self._selection = {"fieldSelector": f"metadata.name={name}"}
        self._on_trouble = on_trouble
        self._version = ""
        self._uid = ""
        self._pause = 0.0

    def __iter__(self) -> Iterator[JobDocument]:
        """Each state that is seen, without end. Raises CommandError where the PaftJob is missing or was deleted."""
        while True:
            try:
                if not self._version:
                    yield self._list()
                yield from self._watch()
                # A server that ends every watch at once is not asked without a pause.
                time.sleep(_FIRST_PAUSE_SECONDS)
            except _Expired:
                self._version = ""
                time.sleep(_FIRST_PAUSE_SECONDS)
            except (RequestRefused, Unreachable) as error:
                self._wait_after(error)

    def _list(self) -> JobDocument:
        listed = self._server.get(self._path, self._selection)
        self._recover()
        items = listed["items"] or ()
        if not items and not self._uid:
            raise self._jobs.missing(self._name)
        if not items or (self._uid and items[0]["metadata"]["uid"] != self._uid):
            raise self._deleted()
        self._uid = items[0]["metadata"]["uid"]
        self._version = listed["metadata"]["resourceVersion"]
        # Items of a list leave out what all have in common.
        return read_job_document({"apiVersion": PAFT_JOBS.api_version, "kind": PAFT_JOBS.kind} | items[0])

    def _watch(self) -> Iterator[JobDocument]:
        query = self._selection | {
            "watch": "true",
            "resourceVersion": self._version,
            "timeoutSeconds": str(_WATCH_SECONDS),
            "allowWatchBookmarks": "true",
        }
        for event in _lines(self._server.stream(self._path, query, read_seconds=_SILENCE_SECONDS)):
            told = event["object"]
            match event["type"]:
                case "ERROR":
                    raise self._refused(told)
                case "DELETED":
                    raise self._deleted()
                case kind:
                    self._recover()
                    self._version = told["metadata"]["resourceVersion"]
                    if kind != "BOOKMARK":
                        yield read_job_document(told)

    def _refused(self, status: Object) -> Exception:
        if status.get("code") == 410:
            return _Expired()
        said = str(status.get("message"))
        return RequestRefused(f"the watch ended: {said}", status=int(status.get("code", 500)), said=said, details={})

    def _wait_after(self, error: RequestRefused | Unreachable) -> None:
        """Before another try; raises what no other try would change, and what fails at the very first one."""
        if isinstance(error, RequestRefused) and error.status == 410:
            self._version = ""
            return
        is_for_good = isinstance(error, RequestRefused) and not error.is_transient
        if is_for_good or not self._uid:
            raise error
        if not self._pause:
            self._on_trouble(f"{error}; trying again")
        self._pause = min(max(2 * self._pause, _FIRST_PAUSE_SECONDS), _LONGEST_PAUSE_SECONDS)
        time.sleep(self._pause)

    def _recover(self) -> None:
        if self._pause:
            self._pause = 0.0
            self._on_trouble("the API server answers again")

    def _deleted(self) -> CommandError:
        return CommandError(f"PaftJob {self._name} was deleted", exit_code=EXIT_FAILED)


def _lines(chunks: Iterator[bytes]) -> Iterator[Object]:
    unread = b""
    for chunk in chunks:
        *lines, unread = (unread + chunk).split(b"\n")
        yield from (json.loads(line) for line in lines)
