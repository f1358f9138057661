"""What really happened to PaftJobs and their Jobs: watched at the API server itself, past all faults."""

import threading
from collections import defaultdict
from types import TracebackType
from typing import Any, Self

from hack.control_plane.client import JOB, Kind, KubernetesClient, Object, Watch
from kubernetes.client.exceptions import ApiException
from tests.paft_operator.cluster_jobs import PAFT_JOB
from tests.paft_operator.cluster_jobs import stage as stage_of
from tests.paft_operator.faults.calls import job_of
from urllib3.exceptions import HTTPError

from paft_api import labels

RELIST_SECONDS = 0.2


class Recorder:
    """Every status that PaftJobs of a namespace ever had, and every Job that was ever created for them."""

    def __init__(self, client: KubernetesClient, namespace: str) -> None:
        self._client = client
        self._namespace = namespace
        self._statuses: defaultdict[str, list[Object]] = defaultdict(list)
        self._jobs: defaultdict[str, dict[str, str]] = defaultdict(dict)
        self._watches: dict[Kind, Watch] = {}
        self._is_stopping = threading.Event()
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        for kind in (PAFT_JOB, JOB):
            thread = threading.Thread(target=self._watch, args=(kind, self._list(kind)), name=f"record-{kind.kind}")
            self._threads.append(thread)
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._is_stopping.set()
        for watch in self._watches.values():
            watch.stop()
        for thread in self._threads:
            thread.join()

    def statuses(self, job: str) -> list[Object]:
        """All statuses of a PaftJob, in their order."""
        return list(self._statuses[job])

    def created_jobs(self, job: str) -> list[str]:
        """Names of all Jobs that were ever created for a PaftJob, sorted; a name twice where two had it."""
        return sorted(self._jobs[job].values())

    def stage(self, job: str, name: str) -> dict[str, Any]:
        """What status says of a stage now; empty where it says nothing."""
        statuses = self._statuses[job]
        return stage_of(statuses[-1], name) if statuses else {}

    def phase(self, job: str) -> str:
        """The phase that status tells now; empty where there is no status."""
        statuses = self._statuses[job]
        return str(statuses[-1]["phase"]) if statuses else ""

    def says_running(self, job: str, name: str, attempt: int) -> bool:
        """Whether status says now that this attempt runs."""
        told = self.stage(job, name)
        return (told.get("state"), told.get("attempt")) == ("Running", attempt)

    def _list(self, kind: Kind) -> str:
        listed = self._client.list_page(kind, self._namespace)
        for found in listed["items"] or ():
            self._note(kind, found | {"kind": kind.kind})
        return str(listed["metadata"]["resourceVersion"])

    def _watch(self, kind: Kind, version: str) -> None:
        while not self._is_stopping.is_set():
            try:
                version = self._watch_once(kind, version)
            except (ApiException, HTTPError):
                # What was not seen meanwhile is missing in what is compared: no run passes for that.
                self._is_stopping.wait(RELIST_SECONDS)
                version = self._list(kind)

    def _watch_once(self, kind: Kind, version: str) -> str:
        watch = self._client.watch(kind, self._namespace, resource_version=version)
        self._watches[kind] = watch
        if self._is_stopping.is_set():
            watch.stop()
        try:
            for event in watch:
                version = event.object["metadata"]["resourceVersion"]
                if event.type != "DELETED":
                    self._note(kind, event.object)
        finally:
            watch.close()
        return version

    def _note(self, kind: Kind, found: Object) -> None:
        job = job_of(found)
        if kind == JOB:
            if found["metadata"].get("labels", {}).get(labels.JOB_NAME):
                self._jobs[job][found["metadata"]["uid"]] = found["metadata"]["name"]
            return
        status = found.get("status")
        if status and (not self._statuses[job] or self._statuses[job][-1] != status):
            self._statuses[job].append(status)
