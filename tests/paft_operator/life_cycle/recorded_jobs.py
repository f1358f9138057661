"""Every version of every PaftJob that the API server has had: what people and tools could have seen at any moment."""

import threading
import time
from collections import defaultdict
from collections.abc import Callable
from types import TracebackType
from typing import Self

from hack.control_plane.client import KubernetesClient, Object, Watch, WatchEvent
from kubernetes.client.exceptions import ApiException
from tests.paft_operator.cluster_jobs import PAFT_JOB
from urllib3.exceptions import HTTPError

RELIST_SECONDS = 0.2

IsMet = Callable[[Object], object]


class RecordedJobs:
    """Watches the PaftJobs of all namespaces. Usable by many threads."""

    def __init__(self, client: KubernetesClient) -> None:
        self._client = client
        self._versions: defaultdict[tuple[str, str], list[Object]] = defaultdict(list)
        self._changed = threading.Condition()
        self._is_stopping = threading.Event()
        self._watch: Watch | None = None
        self._thread = threading.Thread(target=self._run, name="recorded-jobs")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._is_stopping.set()
        if self._watch is not None:
            self._watch.stop()
        self._thread.join()

    def versions(self, namespace: str, name: str) -> list[Object]:
        """All versions so far, oldest first."""
        with self._changed:
            return list(self._versions[namespace, name])

    def names(self, namespace: str) -> list[str]:
        """PaftJobs of a namespace, those included that are gone."""
        with self._changed:
            return sorted(name for found, name in self._versions if found == namespace)

    def wait(self, namespace: str, name: str, is_met: IsMet, *, seconds: float) -> Object:
        """The first version that meets it, from the newest of now on; TimeoutError with the last one."""
        deadline = time.monotonic() + seconds
        with self._changed:
            versions = self._versions[namespace, name]
            checked = max(0, len(versions) - 1)
            while True:
                for version in versions[checked:]:
                    if is_met(version):
                        return version
                checked = len(versions)
                left = deadline - time.monotonic()
                if left <= 0:
                    last = versions[-1] if versions else {}
                    raise TimeoutError(f"{namespace}/{name} after {seconds} s: {last.get('status')}")
                self._changed.wait(left)

    def _run(self) -> None:
        while not self._is_stopping.is_set():
            try:
                self._list_and_watch()
            except (HTTPError, ApiException):
                self._is_stopping.wait(RELIST_SECONDS)

    def _list_and_watch(self) -> None:
        listed = self._client.list_page(PAFT_JOB)
        for job in listed["items"] or ():
            self._see(WatchEvent("ADDED", job))
        self._watch = self._client.watch(PAFT_JOB, resource_version=listed["metadata"]["resourceVersion"])
        if self._is_stopping.is_set():
            self._watch.stop()
        try:
            for event in self._watch:
                self._see(event)
        finally:
            self._watch.close()

    def _see(self, event: WatchEvent) -> None:
        metadata = event.object["metadata"]
        with self._changed:
            versions = self._versions[metadata["namespace"], metadata["name"]]
            if not versions or int(versions[-1]["metadata"]["resourceVersion"]) < int(metadata["resourceVersion"]):
                versions.append(event.object)
                self._changed.notify_all()
