"""All trials, by keys that stay the same from one campaign to the next; the key is the seed."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from random import Random

from tests.hostile_files.contents import (
    CONTENTS,
    EXTRAS,
    FLIPPED_MANIFEST,
    MANIFEST_CHANGES,
    SHARDS,
    replaced_weights,
)
from tests.hostile_files.folders import (
    ADAPTER,
    BASES,
    PUBLISHED,
    SHARDED,
    TARGETS,
    GoodFolders,
)
from tests.hostile_files.headers import HEADERS, Spoil
from tests.hostile_files.structures import (
    ADAPTERS,
    CONFIGURATIONS,
    FORMATS,
    INDICES,
    LINKED_SECRETS,
    LINKS,
)

TRIALS = 1_000
CLEAN_RUNS = 100
NEED_DIGEST = ("published anew with other weights", "weights of another model")
"""Only who knows the digest can tell a folder from another good one: a base from another base that was read, too."""


class Expected(StrEnum):
    """What has to come of a change."""

    REFUSED = "refused on reading"
    """And found by verification too."""
    FOUND = "found by verification"
    FOUND_OR_HARMLESS = "found, or harmless"
    """Where nothing is found, an independent reader must see no difference."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Kind:
    """A way to spoil a folder. `targets`: folders in which it can happen."""

    name: str
    targets: frozenset[str]
    expected: Expected
    make: Callable[[GoodFolders, str], Spoil]


@dataclass(frozen=True, kw_only=True, slots=True)
class HostileCase:
    """One trial. `group`: the kind."""

    key: str
    kind: Kind
    target: str

    @property
    def group(self) -> str:
        """The row of the table."""
        return self.kind.name

    @property
    def expected(self) -> Expected:
        """What has to come of it."""
        return self.kind.expected

    def spoil(self, good: GoodFolders) -> Spoil:
        """The change."""
        return self.kind.make(good, self.target)

    def expected_digest(self, good: GoodFolders) -> str | None:
        """What somebody who asks for the folder was told, where nothing else can tell."""
        return good.digests[self.target] if self.kind.name in NEED_DIGEST else None


@dataclass(frozen=True, kw_only=True, slots=True)
class CleanCase:
    """One run without a change."""

    key: str
    target: str
    group: str = "nothing"


def _kinds(
    spoils: Mapping[str, Spoil], targets: frozenset[str] | set[str] | tuple[str, ...], expected: Expected
) -> list[Kind]:
    return [
        Kind(name=name, targets=frozenset(targets), expected=expected, make=lambda good, target, spoil=spoil: spoil)
        for name, spoil in spoils.items()
    ]


KINDS: tuple[Kind, ...] = (
    *_kinds(CONTENTS, TARGETS, Expected.FOUND),
    *_kinds(SHARDS, SHARDED, Expected.FOUND),
    *_kinds(EXTRAS, PUBLISHED, Expected.FOUND),
    Kind(
        name="weights of another model",
        targets=frozenset(TARGETS),
        expected=Expected.FOUND,
        make=lambda good, target: replaced_weights(good.others[target]),
    ),
    *_kinds(MANIFEST_CHANGES, PUBLISHED, Expected.FOUND),
    *_kinds(FLIPPED_MANIFEST, PUBLISHED, Expected.FOUND_OR_HARMLESS),
    *_kinds(HEADERS, TARGETS, Expected.REFUSED),
    *_kinds(FORMATS, TARGETS, Expected.REFUSED),
    *_kinds(INDICES, SHARDED, Expected.REFUSED),
    *_kinds(LINKS, TARGETS, Expected.REFUSED),
    *_kinds(LINKED_SECRETS, BASES, Expected.REFUSED),
    *_kinds(CONFIGURATIONS, TARGETS, Expected.REFUSED),
    *_kinds(ADAPTERS, {ADAPTER}, Expected.REFUSED),
)


def hostile_cases(count: int = TRIALS) -> list[HostileCase]:
    """So many trials, each kind as often as every other; the first are one of each kind."""
    cases = []
    for number in range(count):
        kind, turn = KINDS[number % len(KINDS)], number // len(KINDS)
        key = f"{kind.name} {turn}"
        cases.append(HostileCase(key=key, kind=kind, target=Random(key).choice(sorted(kind.targets))))
    return cases


def clean_cases(count: int = CLEAN_RUNS) -> list[CleanCase]:
    """So many runs without a change, over all folders."""
    return [CleanCase(key=f"clean {number}", target=TARGETS[number % len(TARGETS)]) for number in range(count)]
