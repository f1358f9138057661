"""A queue of keys with the guarantees of client-go's work queue.

A key waits in it at most once, however often it was added. A key that is being worked on is not handed out again until
`done`; added meanwhile, it is queued anew then. Failures are repeated with a pause that doubles per key.
"""

import asyncio
from collections import deque
from typing import Generic, TypeVar

Key = TypeVar("Key")


class WorkQueue(Generic[Key]):
    """For one event loop. Pauses after failures double from `first_pause` to `longest_pause` seconds."""

    def __init__(self, *, first_pause: float = 0.1, longest_pause: float = 60.0) -> None:
        self._first_pause = first_pause
        self._longest_pause = longest_pause
        self._ready: deque[Key] = deque()
        self._waiting: set[Key] = set()
        self._in_work: set[Key] = set()
        self._failures: dict[Key, int] = {}
        self._timers: dict[Key, asyncio.TimerHandle] = {}
        self._wake_up = asyncio.Event()
        self._drained = asyncio.Event()
        self._drained.set()

    def __len__(self) -> int:
        """Keys that could be handed out now."""
        return len(self._ready)

    def add(self, key: Key) -> None:
        """Hand the key out as soon as a worker is free."""
        if key in self._waiting:
            return
        self._waiting.add(key)
        self._drained.clear()
        if key not in self._in_work:
            self._ready.append(key)
            self._wake_up.set()

    def add_after(self, key: Key, seconds: float) -> None:
        """Add the key later. Of several times the earliest counts."""
        loop = asyncio.get_running_loop()
        due = loop.time() + max(0.0, seconds)
        timer = self._timers.get(key)
        if timer is not None:
            if timer.when() <= due:
                return
            timer.cancel()
        self._timers[key] = loop.call_at(due, self._add_due, key)

    def add_rate_limited(self, key: Key, *, at_least: float = 0.0) -> float:
        """Add the key after a failure; returns the pause in seconds."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        pause = max(at_least, min(self._first_pause * 2.0 ** min(failures, 32), self._longest_pause))
        self.add_after(key, pause)
        return pause

    def forget_failures(self, key: Key) -> None:
        """The key was worked on successfully."""
        self._failures.pop(key, None)

    def forget(self, key: Key) -> None:
        """What the key stands for is gone: no failures, no later time."""
        self.forget_failures(key)
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()

    async def get(self) -> Key:
        """The next key; waits for one. Call `done` afterwards."""
        while not self._ready:
            self._wake_up.clear()
            await self._wake_up.wait()
        key = self._ready.popleft()
        self._waiting.discard(key)
        self._in_work.add(key)
        return key

    def done(self, key: Key) -> None:
        """The work on a key has ended, in whatever way."""
        self._in_work.discard(key)
        if key in self._waiting:
            self._ready.append(key)
            self._wake_up.set()
        elif not (self._waiting or self._in_work):
            self._drained.set()

    async def drained(self) -> None:
        """Wait until no key waits and none is in work; those that are to be added later do not count."""
        await self._drained.wait()

    def _add_due(self, key: Key) -> None:
        del self._timers[key]
        self.add(key)
