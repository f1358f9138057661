"""Jobs that are long enough for something to happen to them, and what they come to where nothing does."""

from typing import Any

from tests.node.node_cluster import BASE, DATA, NodeNamespace, small_job, stage

STEPS = 96
SAVED = 8
"""A step by which there are checkpoints."""


def start_long_job(place: NodeNamespace, name: str, **scheduling: Any) -> None:
    """Create it; its adapters are its own."""
    manifest = small_job(place, name, BASE, DATA, steps=STEPS, artifacts=name)
    manifest["spec"]["scheduling"] |= scheduling
    place.create(manifest)


def adapters_of(place: NodeNamespace, name: str, *, attempts: dict[str, int]) -> dict[str, bytes]:
    """Wait for its success; the adapters. `attempts`: that stages needed."""
    status = place.wait_for_phase(name, "Succeeded", seconds=600)["status"]
    assert {entry: stage(status, entry)["attempt"] for entry in attempts} == attempts, place.told(name)
    adapters = place.adapters(name)
    assert len(adapters) == 2
    return adapters
