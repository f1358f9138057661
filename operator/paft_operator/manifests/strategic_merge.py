"""A pod template with a user's changes, merged as `kubectl patch` does.

Maps merge by key, the lists below by the key of their entries, and every other list is replaced.
"""

from collections.abc import Mapping, Sequence
from typing import Any

_MERGE_KEYS = {
    "containers": "name",
    "volumes": "name",
    "env": "name",
    "volumeMounts": "mountPath",
    "imagePullSecrets": "name",
}
"""Of those lists that our pods have; a list that only the user has is taken over as it is."""

_ONE_OF = ("volumes", "env")
"""Entries that have one source out of many: another source takes the place of ours."""


def merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """A new map; neither argument changes."""
    return {**base, **{key: _merged_value(key, base.get(key), value) for key, value in changes.items()}}


def _merged_value(field: str, base: object, change: object) -> object:
    if isinstance(base, Mapping) and isinstance(change, Mapping):
        return merged(base, change)
    if isinstance(base, Sequence) and isinstance(change, Sequence) and field in _MERGE_KEYS:
        return _merged_list(field, base, change)
    return change


def _merged_list(
    field: str, base: Sequence[Mapping[str, Any]], change: Sequence[Mapping[str, Any]]
) -> list[Mapping[str, Any]]:
    key = _MERGE_KEYS[field]
    entries = {entry[key]: entry for entry in base}
    for entry in change:
        name = entry[key]
        entries[name] = merged(entries[name], entry) if name in entries and field not in _ONE_OF else entry
    return list(entries.values())
