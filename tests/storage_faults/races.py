"""Publishers that are at one output at the same time, each with a store of its own.

- Of merges one recipe commits: who has it succeeds, all others end with ArtifactMismatch, and a message that says whose
  the folder is. The folder holds, byte for byte, what a merge of that recipe alone writes.
- Of adapters one attempt's is published, whole; everybody gets that one.
- What is published can be verified, and no upload is left.
"""

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Any, Self
from unittest import mock

from hack import seaweedfs
from tests.merges import merge_run_spec, run_merge
from tests.storage_faults.attempts import SUCCEEDED, in_words
from tests.storage_faults.observers import Observer, differences
from tests.storage_faults.operations import METRICS, arm_session
from tests.storage_faults.places import Place, source_uri
from tests.storage_faults.sources import adapter_files

from paft_api.causes import Cause
from paft_api.layout import ADAPTER_MANIFEST_FILE, CLAIM_FILE
from paft_trainer.merge import stage
from paft_trainer.published_adapters import find_published_adapter
from paft_trainer.storage import ObjectStore
from paft_trainer.training.adapter_publication import publish_adapter

RACES = 1_000
MOST_PUBLISHERS = 8
LONGEST_DELAY = 0.1
"""Seconds after the start within which publishers begin."""

KINDS = ("merge, one recipe", "merge, several recipes", "adapter, the same files", "adapter, different files")
RECIPES: tuple[Mapping[str, Any], ...] = (
    {"method": "linear"},
    {"method": "linear", "weights": (0.5, 1.0)},
    {"method": "ties", "density": 0.5},
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Race:
    """`group`: one of KINDS. `recipes`: of each publisher, by number; for adapters, whose files it has."""

    key: str
    group: str
    recipes: tuple[int, ...]

    @property
    def is_merge(self) -> bool:
        """Or else it is about an adapter."""
        return self.group.startswith("merge")


def all_races(count: int = RACES) -> list[Race]:
    """So many, of all kinds in turn."""
    races = []
    for number in range(count):
        kind, draw = KINDS[number % len(KINDS)], Random(f"race {number}")
        recipes = [draw.randrange(len(RECIPES))] * draw.randint(2, MOST_PUBLISHERS)
        if kind in (KINDS[1], KINDS[3]):
            recipes = [0, 1, *(draw.randrange(len(RECIPES)) for _ in recipes[2:])]
            draw.shuffle(recipes)
        races.append(Race(key=f"race {number}: {kind}", group=kind, recipes=tuple(recipes)))
    return races


Ended = tuple[str, str | None]
"""SUCCEEDED and a result, or an error in words."""

_own = threading.local()
"""`store`: of the publisher in this thread."""


class Races:
    """Run against one server."""

    def __init__(self, server: seaweedfs.S3Server, client: Any) -> None:
        self._server = server
        self._client = client
        everywhere = Place(endpoint=server.endpoint, folder="")
        self._stores = [everywhere.open_store() for _ in range(MOST_PUBLISHERS)]
        self._observing = everywhere.open_store()
        self._alone: dict[int, dict[str, bytes]] = {}
        self._count = 0

    @classmethod
    @contextlib.contextmanager
    def of(cls, server: seaweedfs.S3Server) -> Iterator[Self]:
        """For the length of a `with` block. The inputs must be in the bucket, credentials in the environment."""
        with seaweedfs.s3_client(server) as client, mock.patch.object(stage, "open_stage_store", _own_store):
            yield cls(server, client)

    def judge(self, race: Race) -> list[str]:
        """Run it; all that is wrong afterwards."""
        place = self._new_place("races")
        work = _merge if race.is_merge else _publish
        works = [partial(work, place, number, recipe) for number, recipe in enumerate(race.recipes)]
        ended = _all_at_once(works, self._stores, Random(race.key))
        observer = Observer(self._observing, place, self._client)
        problems = [*(self._wrong_merge if race.is_merge else self._wrong_adapter)(race, ended, observer)]
        problems += observer.untrue_manifests()
        return problems + [f"left an upload: {key}" for key in observer.uploads()]

    def _wrong_merge(self, race: Race, ended: Sequence[Ended], observer: Observer) -> Iterator[str]:
        committed = {recipe for recipe, (how, _) in zip(race.recipes, ended, strict=True) if how == SUCCEEDED}
        if len(committed) != 1:
            yield f"recipes {sorted(committed)} succeeded: {ended}"
            return
        (winner,) = committed
        for recipe, (how, _) in zip(race.recipes, ended, strict=True):
            loses = how.startswith(f"{Cause.ARTIFACT_MISMATCH}: ") and " belongs to another recipe: " in how
            if how != SUCCEEDED if recipe == winner else not loses:
                yield f"recipe {recipe}, where {winner} won, ended with {how}"
        yield from differences(observer.objects(), self._objects_of(winner))

    def _wrong_adapter(self, race: Race, ended: Sequence[Ended], observer: Observer) -> Iterator[str]:
        yield from (f"ended with {how}" for how, _ in ended if how != SUCCEEDED)
        if len({result for _, result in ended}) != 1:
            yield f"different adapters were published: {ended}"
        found = observer.objects()
        folder = next(name.removesuffix(CLAIM_FILE) for name in found if name.endswith(f"/{CLAIM_FILE}"))
        source = json.loads(found[folder + CLAIM_FILE])["source"].partition("./")[2]
        published = {
            name.removeprefix(folder): content
            for name, content in found.items()
            if name.startswith(folder) and not name.startswith((f"{folder}attempts/", folder + CLAIM_FILE))
        }
        claimed = {name: found[source + name] for name in (*adapter_files(0), ADAPTER_MANIFEST_FILE)}
        yield from differences(published, claimed)
        if not any(adapter_files(recipe).items() <= published.items() for recipe in race.recipes):
            yield "what was published is nobody's"

    def _objects_of(self, recipe: int) -> dict[str, bytes]:
        """What a merge of this recipe alone writes."""
        if recipe not in self._alone:
            place = self._new_place("alone")
            _own.store = self._stores[0]
            _merge(place, 0, recipe)
            self._alone[recipe] = Observer(self._observing, place, self._client).objects()
        return self._alone[recipe]

    def _new_place(self, name: str) -> Place:
        self._count += 1
        return Place(endpoint=self._server.endpoint, folder=f"{name}/{self._count}/")


def _all_at_once(works: Sequence[Callable[[], str]], stores: Sequence[ObjectStore], draw: Random) -> list[Ended]:
    ended: dict[int, Ended] = {}
    barrier = threading.Barrier(len(works))
    delays = [draw.uniform(0, LONGEST_DELAY) for _ in works]

    def work(number: int) -> None:
        _own.store = stores[number]
        barrier.wait()
        time.sleep(delays[number])
        ended[number] = in_words(works[number])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(len(works))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [ended[number] for number in range(len(works))]


def _merge(place: Place, number: int, recipe: int) -> str:
    run_spec = merge_run_spec(
        **{name: source_uri(f"small/{name}") for name in ("base", "sft", "preference")},
        output=f"{place.uri}output/",
        artifacts=place.storage.artifacts_uri,
        endpoint=place.endpoint,
        max_shard_size="40KB",
        **RECIPES[recipe],
    )
    return run_merge(run_spec).artifact.digest


def _publish(place: Place, number: int, recipe: int) -> str:
    session = arm_session(_own.store, place, attempt=number + 1)
    published = find_published_adapter(session.store, session.stage_folder)
    published = published or publish_adapter(session, adapter_files(recipe), METRICS)
    return published.artifact.digest


def _own_store(run_spec: object, reporter: object) -> ObjectStore:
    store: ObjectStore = _own.store
    return store
