"""One trial: an operation that meets one fault, and what must be true of it afterwards.

- A fault that passes is not noticed: the result and every object are those of a run without it.
- Where bytes were falsified, the operation succeeds likewise, or fails with the cause ArtifactMismatch.
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
from tests.storage_faults.operations import OPERATIONS
from tests.storage_faults.places import BUCKET, Place, objects, source_uri, upload_sources

from paft_api.causes import Cause
from paft_api.layout import ADAPTER_MANIFEST_FILE, CHECKPOINT_MANIFEST_FILE, MERGE_MANIFEST_FILE
from paft_trainer.storage import ObjectStore
from paft_trainer.training.checkpoint import list_checkpoints, load_checkpoint
from paft_trainer.verification import verify

SILENCE_SECONDS = 0.5
"""What a client waits for where a stall is to be noticed."""

FOUND_LATER = "found later"
"""The outcome where a base's index is wrong, and verification says so."""

_PROBE = ".paft-probe-"
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

    def __init__(self, server: seaweedfs.S3Server, proxy: FaultProxy, client: Any, nursery: Nursery) -> None:
        self._server = server
        self._proxy = proxy
        self._client = client
        self._nursery = nursery
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

    def all_trials(self) -> list[Trial]:
        """Every request of every operation, with every fault that it can meet."""
        return [
            Trial(operation=operation, request=exchange.request, fault=fault)
            for operation in OPERATIONS
            for exchange in self.clean(operation).exchanges
            for fault in Fault
            if exchange.can_meet(fault)
        ]

    def judge(self, trial: Trial) -> Outcome:
        """Run and look."""
        clean = self.clean(trial.operation)
        place = self._new_place(SILENCE_SECONDS if "stall" in trial.fault else 5.0)
        ended, result = self._run_with_fault(trial, place)
        happened = [f"{fault}: {request}" for request, fault in self._proxy.happened]
        look = _Look(self._store, place, self._client)
        if trial.misleads_index and ended == SUCCEEDED and result != clean.result:
            ended = FOUND_LATER
            problems = [*look.trusted_index()]
        else:
            problems = [*self._wrong_end(trial, ended, result, look, clean), *look.untrue_manifests()]
        if not trial.fault.kills and _BEGINS_UPLOAD not in trial.request.target:
            problems += [f"left an upload: {key}" for key in look.uploads()]
        if ended != SUCCEEDED:
            problems += self._rerun(trial, place, look, clean)
        look.abort_uploads()
        problems += [f"cannot clean up the upload of {key}" for key in look.uploads()]
        return Outcome(happened=happened, ended=ended, problems=problems)

    def _run_clean(self, operation: str) -> CleanRun:
        place = self._new_place(30.0)
        self._proxy.begin(Names(place.folder))
        result = OPERATIONS[operation](place.open_store(), place)
        found = objects(self._client, place.folder)
        return CleanRun(result=result, objects=found, exchanges=tuple(self._proxy.exchanges))

    def _new_place(self, silence_seconds: float) -> Place:
        self._count += 1
        return Place(endpoint=self._proxy.endpoint, folder=f"trials/{self._count}/", silence_seconds=silence_seconds)

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

    def _wrong_end(self, trial: Trial, ended: str, result: str | None, look: "_Look", clean: CleanRun) -> Iterator[str]:
        if trial.fault.kills:
            if ended not in (KILLED, SUCCEEDED):
                yield f"ended with {ended}"
            return
        if ended == SUCCEEDED:
            yield from _differences(result, look.objects(), clean)
        elif not (trial.fault.falsifies and ended.startswith(f"{Cause.ARTIFACT_MISMATCH}: ")):
            yield f"ended with {ended}"

    def _rerun(self, trial: Trial, place: Place, look: "_Look", clean: CleanRun) -> Iterator[str]:
        self._proxy.begin(Names(place.folder))
        ended, result = attempt(trial.operation, place)
        if ended != SUCCEEDED:
            yield f"begun again it ended with {ended}"
        else:
            yield from (f"begun again: {difference}" for difference in _differences(result, look.objects(), clean))


class _Look:
    """What an observer sees of a place, past the proxy."""

    def __init__(self, store: ObjectStore, place: Place, client: Any) -> None:
        self._store = store
        self._place = place
        self._client = client

    def objects(self) -> dict[str, bytes]:
        """All objects but what a killed process leaves and nobody reads: probes, and halves of removed checkpoints."""
        found = objects(self._client, self._place.folder)
        return {name: body for name, body in found.items() if not (_PROBE in name or _is_half_removed(name, found))}

    def untrue_manifests(self) -> Iterator[str]:
        """What can be seen to be wrong at once."""
        for info in list(self._store.list(self._place.uri)):
            folder, _, name = info.uri.rpartition("/")
            if name in (MERGE_MANIFEST_FILE, ADAPTER_MANIFEST_FILE):
                found = verify(self._store, f"{folder}/", artifacts_uri=self._place.storage.artifacts_uri)
                yield from (f"{one.file}: {one.message}" for part in found.folders for one in part.problems)
        for saved in list_checkpoints(self._store, self._place.uri):
            if load_checkpoint(self._store, saved) is None:
                yield f"{saved.folder} is not what its manifest says"

    def trusted_index(self) -> Iterator[str]:
        """Whether a wrong index is believed; it is removed, as those do whom verification tells of it."""
        folder = f"{self._place.storage.artifacts_uri}index/"
        if verify(self._store, source_uri("base"), artifacts_uri=self._place.storage.artifacts_uri).is_sound:
            yield "nobody can tell that the index is wrong"
        for info in list(self._store.list(folder)):
            self._store.delete(info.uri)

    def uploads(self) -> list[str]:
        """Keys of unfinished uploads, as the server itself tells."""
        found = self._client.list_multipart_uploads(Bucket=BUCKET, Prefix=self._place.folder).get("Uploads", ())
        return [upload["Key"] for upload in found]

    def abort_uploads(self) -> None:
        """By the store, as cleaning up does."""
        for upload in list(self._store.unfinished_uploads(self._place.uri)):
            self._store.abort_upload(upload)


@contextlib.contextmanager
def running_trials(server: seaweedfs.S3Server, directory: Path) -> Iterator[Trials]:
    """All that trials need, for the length of a `with` block. The server's credentials must be in the environment.

    `directory`: for the inputs.
    """
    upload_sources(server, directory)
    with FaultProxy(server.endpoint) as proxy, seaweedfs.s3_client(server) as client, Nursery() as nursery:
        yield Trials(server, proxy, client, nursery)


def _differences(result: str | None, found: dict[str, bytes], clean: CleanRun) -> Iterator[str]:
    if result != clean.result:
        yield f"the result is {result} instead of {clean.result}"
    for name in sorted(clean.objects.keys() | found.keys()):
        if found.get(name) != clean.objects.get(name):
            yield f"{name} is {_kind(found.get(name), clean.objects.get(name))}"


def _is_half_removed(name: str, found: Mapping[str, bytes]) -> bool:
    """Whether it lies in the folder of a checkpoint without a manifest."""
    folder = name.rpartition("/")[0]
    return "/checkpoints/" in name and f"{folder}/{CHECKPOINT_MANIFEST_FILE}" not in found


def _kind(found: bytes | None, expected: bytes | None) -> str:
    if found is None:
        return "missing"
    return "too much" if expected is None else "another"
