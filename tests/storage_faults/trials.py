"""One trial: an operation that meets one fault, and what must be true of it afterwards.

- A fault that passes is not noticed: the result and every object are those of a run without it.
- Where bytes were falsified, the operation succeeds likewise, or fails with a cause of _FALSE_CONTENT.
- Every manifest that is there is true, at once, whatever was killed: all that it names can be verified.
- Unless it has succeeded, the operation begun again comes to the result, and to the objects, of a run without a fault.
- What a base's bytes are nobody knows before they are read: where those were falsified, `paft verify` finds it later.
- Once unfinished uploads are cleaned up, the server knows of none; without a kill, of none before, but for those whose
  beginning nobody heard of.
"""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hack import seaweedfs
from tests.storage_faults.attempts import SUCCEEDED, attempt
from tests.storage_faults.child import KILLED, Nursery
from tests.storage_faults.exchanges import Exchange, Fault, Names, Request
from tests.storage_faults.fault_proxy import FaultProxy
from tests.storage_faults.observers import Observer, differences
from tests.storage_faults.operations import OPERATIONS
from tests.storage_faults.places import Place, objects, upload_sources

from paft_api.causes import Cause

SILENCE_SECONDS = 0.5
"""What a client waits for where a stall is to be noticed."""

_FALSE_CONTENT = (Cause.ARTIFACT_MISMATCH, Cause.CONFIG_INVALID)
"""The latter where a file is one that could be, but could not be used."""

FOUND_LATER = "found later"
"""The outcome where a base's index is wrong, and verification says so."""

_BEGINS_UPLOAD = " uploads"


@dataclass(frozen=True, kw_only=True, slots=True)
class Trial:
    """One fault at one request of an operation."""

    operation: str
    request: Request
    fault: Fault

    @property
    def key(self) -> str:
        """Unique in the campaign."""
        return f"{self.operation}: {self.fault}: {self.request}"

    @property
    def misleads_index(self) -> bool:
        """Whether bytes of a base are falsified when they are first read."""
        of_base = "/sources/base/" in self.request.target
        return self.operation == "prepare" and self.fault is Fault.WRONG_ANSWER and of_base

    @property
    def group(self) -> str:
        """The row of the table."""
        return str(self.fault)


@dataclass(frozen=True, kw_only=True, slots=True)
class CleanRun:
    """What an operation comes to without faults."""

    result: str
    objects: dict[str, bytes]
    exchanges: tuple[Exchange, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """`happened`: the fault, in words; empty where the operation never came to this request. `ended`: how the
    operation ended."""

    happened: list[str]
    ended: str
    problems: list[str]


class Trials:
    """A server with a proxy before it."""

    def __init__(
        self, server: seaweedfs.S3Server, proxy: FaultProxy, client: Any, nursery: Nursery, base_digest: str
    ) -> None:
        self._server = server
        self._proxy = proxy
        self._client = client
        self._nursery = nursery
        self._base_digest = base_digest
        self._store = Place(endpoint=server.endpoint, folder="").open_store()
        self._clean: dict[str, CleanRun] = {}
        self._count = 0

    def clean(self, operation: str) -> CleanRun:
        """The run that all trials are compared with."""
        if operation not in self._clean:
            # The first one has kernels to compile.
            self._run_clean(operation)
            self._clean[operation] = self._run_clean(operation)
        return self._clean[operation]

    def of(self, operation: str) -> list[Trial]:
        """Every request of an operation, with every fault that it can meet."""
        exchanges = sorted(self.clean(operation).exchanges, key=lambda exchange: str(exchange.request))
        return [
            Trial(operation=operation, request=exchange.request, fault=fault)
            for exchange in exchanges
            for fault in Fault
            if exchange.can_meet(fault)
        ]

    def judge(self, trial: Trial) -> Outcome:
        """Run and observer."""
        clean = self.clean(trial.operation)
        place = self._new_place(SILENCE_SECONDS if "stall" in trial.fault else 5.0)
        ended, result = self._run_with_fault(trial, place)
        happened = [f"{fault}: {request}" for request, fault in self._proxy.happened]
        observer = Observer(self._store, place, self._client)
        if trial.misleads_index and ended == SUCCEEDED and result != clean.result:
            ended = FOUND_LATER
            problems = [*observer.trusted_index()]
        else:
            problems = [*self._wrong_end(trial, ended, result, observer, clean), *observer.untrue_manifests()]
        if not trial.fault.kills and _BEGINS_UPLOAD not in trial.request.target:
            problems += [f"left an upload: {key}" for key in observer.uploads()]
        if ended != SUCCEEDED:
            problems += self._rerun(trial, place, observer, clean)
        observer.abort_uploads()
        problems += [f"cannot clean up the upload of {key}" for key in observer.uploads()]
        return Outcome(happened=happened, ended=ended, problems=problems)

    def _run_clean(self, operation: str) -> CleanRun:
        place = self._new_place(30.0)
        self._proxy.begin(Names(place.folder))
        result = OPERATIONS[operation](place.open_store(), place)
        found = objects(self._client, place.folder)
        return CleanRun(result=result, objects=found, exchanges=tuple(self._proxy.exchanges))

    def _new_place(self, silence_seconds: float) -> Place:
        self._count += 1
        return Place(
            endpoint=self._proxy.endpoint,
            folder=f"trials/{self._count}/",
            silence_seconds=silence_seconds,
            base_digest=self._base_digest,
        )

    def _run_with_fault(self, trial: Trial, place: Place) -> tuple[str, str | None]:
        """How it ended in one word or with an error, and its result."""

        def plan(request: Request) -> Fault | None:
            return trial.fault if request == trial.request else None

        if trial.fault.kills:
            child = self._nursery.child(trial.operation, place)
            self._proxy.begin(Names(place.folder), plan, kill=child.kill)
            return child.run()
        self._proxy.begin(Names(place.folder), plan)
        return attempt(trial.operation, place)

    def _wrong_end(
        self, trial: Trial, ended: str, result: str | None, observer: Observer, clean: CleanRun
    ) -> Iterator[str]:
        if trial.fault.kills:
            if ended not in (KILLED, SUCCEEDED):
                yield f"ended with {ended}"
            return
        if ended == SUCCEEDED:
            yield from _differences(result, observer.objects(), clean)
        elif not (trial.fault.falsifies and ended.partition(": ")[0] in _FALSE_CONTENT):
            yield f"ended with {ended}"

    def _rerun(self, trial: Trial, place: Place, observer: Observer, clean: CleanRun) -> Iterator[str]:
        self._proxy.begin(Names(place.folder))
        ended, result = attempt(trial.operation, place)
        if ended != SUCCEEDED:
            yield f"begun again it ended with {ended}"
        else:
            yield from (f"begun again: {difference}" for difference in _differences(result, observer.objects(), clean))


@contextlib.contextmanager
def running_trials(server: seaweedfs.S3Server, directory: Path) -> Iterator[Trials]:
    """All that trials need, for the length of a `with` block. The server's credentials must be in the environment.

    `directory`: for the inputs.
    """
    base_digest = upload_sources(server, directory)
    with FaultProxy(server.endpoint) as proxy, seaweedfs.s3_client(server) as client, Nursery() as nursery:
        yield Trials(server, proxy, client, nursery, base_digest)


def _differences(result: str | None, found: Mapping[str, bytes], clean: CleanRun) -> Iterator[str]:
    if result != clean.result:
        yield f"the result is {result} instead of {clean.result}"
    yield from differences(found, clean.objects)
