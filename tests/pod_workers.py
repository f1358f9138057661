"""Threads that play Pods: each advances the scripts of its own Pods, one step at a time, when they are due."""

import heapq
import itertools
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from hack.control_plane.client import WatchEvent
from kubernetes.client.exceptions import ApiException
from tests.played_pods import PlayedPod, PodTerminated, Script, Steps, VolumeMissing

GARBAGE_COLLECTION_SECONDS = 30.0


@dataclass(kw_only=True, slots=True)
class _Play:
    """`turn`: number of the step that is due. `killed_at`: end of the grace period, once the Pod is being deleted."""

    pod: PlayedPod
    steps: Steps
    turn: int = 0
    killed_at: float | None = None
    is_over: bool = False


class PodWorker:
    """One thread and its Pods. `errors`: what went wrong in scripts."""

    def __init__(self) -> None:
        self.errors: list[Exception] = []
        self._seen: queue.SimpleQueue[tuple[WatchEvent, PlayedPod, Script] | None] = queue.SimpleQueue()
        self._plays: dict[str, _Play] = {}
        self._due: list[tuple[float, int, str]] = []
        self._numbers = itertools.count(1)
        self._thread = threading.Thread(target=self._run, name="pod-worker")

    def start(self) -> None:
        """Begin to play."""
        self._thread.start()

    def see(self, event: WatchEvent, pod: PlayedPod, script: Script) -> None:
        """Tell of a change; a Pod that is new here is played by the script."""
        self._seen.put((event, pod, script))

    def stop(self) -> None:
        """End; Pods stay as they are."""
        self._seen.put(None)
        self._thread.join()

    def _run(self) -> None:
        while True:
            try:
                seen = self._seen.get(timeout=self._seconds_to_next())
                if seen is None:
                    return
                self._take_note(*seen)
            except queue.Empty:
                pass
            if self._seconds_to_next() == 0:
                self._play_next()

    def _seconds_to_next(self) -> float | None:
        return max(0.0, self._due[0][0] - time.monotonic()) if self._due else None

    def _take_note(self, event: WatchEvent, pod: PlayedPod, script: Script) -> None:
        if event.type == "DELETED":
            self._plays.pop(pod.uid, None)
            return
        play = self._plays.get(pod.uid)
        if play is None:
            play = self._plays[pod.uid] = _Play(pod=pod, steps=script(pod), is_over=pod.has_ended)
            self._schedule(play, 0.0)
        metadata = event.object["metadata"]
        if "deletionTimestamp" in metadata and play.killed_at is None:
            play.killed_at = time.monotonic() + metadata["deletionGracePeriodSeconds"]
            self._guarded(self._terminate, play)

    def _play_next(self) -> None:
        _, turn, uid = heapq.heappop(self._due)
        play = self._plays.get(uid)
        if play is not None and play.turn == turn and not play.is_over:
            self._guarded(self._advance, play)

    def _schedule(self, play: _Play, seconds: float) -> None:
        play.turn = next(self._numbers)
        heapq.heappush(self._due, (time.monotonic() + seconds, play.turn, play.pod.uid))

    def _guarded(self, step: Callable[[_Play], None], play: _Play) -> None:
        try:
            step(play)
        except Exception as error:  # noqa: BLE001 - whatever a script raises is raised again in the test's thread
            play.is_over = True
            # Who deletes a Pod, and with it what it needs, does not wait for its script.
            if not (isinstance(error, ApiException) and error.status in (403, 404, 409) and _goes_soon(play.pod)):
                self.errors.append(error)

    def _terminate(self, play: _Play) -> None:
        if play.is_over:
            play.pod.be_removed()
        else:
            self._go_on(play, lambda: play.steps.throw(PodTerminated()))

    def _advance(self, play: _Play) -> None:
        if play.killed_at is not None and time.monotonic() >= play.killed_at:
            play.is_over = True
            play.pod.be_killed()
            play.pod.be_removed()
        else:
            self._go_on(play, lambda: next(play.steps))

    def _go_on(self, play: _Play, step: Callable[[], float]) -> None:
        try:
            seconds = step()
        except (StopIteration, PodTerminated, VolumeMissing):
            play.is_over = True
            if play.killed_at is not None:
                play.pod.be_removed()
            return
        if play.killed_at is not None:
            seconds = min(seconds, max(0.0, play.killed_at - time.monotonic()))
        self._schedule(play, seconds)


def _goes_soon(pod: PlayedPod) -> bool:
    """Garbage collection takes what a Pod needs and the Pod itself in any order."""
    deadline = time.monotonic() + GARBAGE_COLLECTION_SECONDS
    while not pod.is_going:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True
