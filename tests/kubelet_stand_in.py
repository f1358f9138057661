"""Plays Pods against a real API server, where no node runs them: scripts say what becomes of each.

    with KubeletStandIn(client, namespace=namespace) as kubelet:
        kubelet.play(failing(exit_code=65), {"paft.dev/stage": "sft", "paft.dev/attempt": "1"})
        kubelet.play(succeeding(), {})

A deleted Pod is ended as a kubelet ends it: SIGTERM (`PodTerminated` in its script), exit code 143 unless the script
chose another end, 137 where it outlives its grace period, and then the Pod's removal. Whatever goes wrong in a script
is raised when the `with` block ends.
"""

import threading
from types import TracebackType
from typing import Self

from hack.control_plane.client import POD, KubernetesClient, Object, Watch, WatchEvent
from kubernetes.client.exceptions import ApiException
from tests.played_pods import PlayedPod, Script
from tests.pod_workers import PodWorker
from urllib3.exceptions import HTTPError

RELIST_SECONDS = 0.2
"""Pause before Pods are listed anew, when the API server could not be reached or its watch expired."""


class KubeletStandIn:
    """Watches Pods and plays each by the first script whose labels it has, in the order in which they were given.

    `namespace`: None for all. `nodes`: Pods of an Indexed Job go to `node-<index modulo nodes>`. `workers`: threads
    that play; a Pod stays with one of them.
    """

    def __init__(
        self,
        client: KubernetesClient,
        *,
        namespace: str | None = None,
        labels: str = "",
        nodes: int = 2,
        workers: int = 1,
    ) -> None:
        self._client = client
        self._namespace = namespace
        self._labels = labels
        self._nodes = nodes
        self._scripts: list[tuple[dict[str, str], Script]] = []
        self._workers = [PodWorker() for _ in range(workers)]
        self._watcher = threading.Thread(target=self._watch_pods, name="kubelet-watch")
        self._watch: Watch | None = None
        self._is_stopping = threading.Event()
        self._errors: list[Exception] = []

    def play(self, script: Script, labels: dict[str, str] | None = None, *, first: bool = False) -> None:
        """Play Pods with all these labels that appear from now on. `first`: before scripts that were given earlier."""
        added = [(labels or {}, script)]
        # A new list: the watching thread may be reading the old one.
        self._scripts = [*added, *self._scripts] if first else [*self._scripts, *added]

    def __enter__(self) -> Self:
        for index in range(self._nodes):
            self._client.apply(_node(f"node-{index}"), field_manager="kubelet-stand-in")
        for worker in self._workers:
            worker.start()
        self._watcher.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._is_stopping.set()
        if self._watch is not None:
            self._watch.stop()
        self._watcher.join()
        for worker in self._workers:
            worker.stop()
            self._errors += worker.errors
        if error is not None:
            # Most often the test has failed because a script has.
            for own in self._errors:
                error.add_note(f"the kubelet stand-in: {own!r}")
        elif self._errors:
            raise ExceptionGroup("the kubelet stand-in", self._errors)

    def _watch_pods(self) -> None:
        while not self._is_stopping.is_set():
            try:
                self._list_and_watch()
            except (HTTPError, ApiException) as error:
                if isinstance(error, ApiException) and error.status not in (410, 429, 500, 503, 504):
                    self._errors.append(error)
                    return
                self._is_stopping.wait(RELIST_SECONDS)

    def _list_and_watch(self) -> None:
        listed = self._client.list_page(POD, self._namespace, labels=self._labels)
        for pod in listed["items"] or ():
            self._see(WatchEvent("ADDED", pod))
        version = listed["metadata"]["resourceVersion"]
        self._watch = self._client.watch(POD, self._namespace, labels=self._labels, resource_version=version)
        if self._is_stopping.is_set():
            self._watch.stop()
        try:
            for event in self._watch:
                self._see(event)
        finally:
            self._watch.close()

    def _see(self, event: WatchEvent) -> None:
        pod = event.object
        script = self._script_of(pod)
        if script is not None:
            worker = self._workers[hash(pod["metadata"]["uid"]) % len(self._workers)]
            worker.see(event, PlayedPod(self._client, pod, self._node_of(pod)), script)

    def _script_of(self, pod: Object) -> Script | None:
        labels = pod["metadata"].get("labels", {}).items()
        return next((script for wanted, script in self._scripts if wanted.items() <= labels), None)

    def _node_of(self, pod: Object) -> str:
        return f"node-{PlayedPod(self._client, pod, '').completion_index % self._nodes}"


def _node(name: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Node",
        # Bound to a Node that does not exist, a Pod would be collected as garbage.
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}},
    }
