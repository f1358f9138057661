"""Which weights a module gets: the last entry of merge.weights that fits it."""

import re
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from paft_api.spec.merge_weights import ArmWeights, WeightAnchor

_LAYER = re.compile(r"(?:^|\.)(\d+)(?:\.|$)")


def layer_of(module: str) -> int | None:
    """Number of the layer a module lies in, the first number in its name; None outside of layers."""
    found = _LAYER.search(module)
    return int(found[1]) if found is not None else None


def last_layer(modules: Iterable[str]) -> int:
    """The highest number of a layer; 0 where there are none."""
    return max((layer for module in modules if (layer := layer_of(module)) is not None), default=0)


def module_weights(entries: Sequence[ArmWeights], module: str, *, last: int) -> tuple[float, float]:
    """Weights of the SFT and of the preference delta. `last`: the model's last layer."""
    layer = layer_of(module)
    entry = next(one for one in reversed(entries) if _fits(one, module, layer))
    if entry.gradient is None:
        return entry.sft, entry.preference
    first, final = (0, last) if entry.layers is None else (entry.layers.first, _last_of(entry, last))
    return _between(entry.gradient, 0.0 if layer is None or final == first else (layer - first) / (final - first))


def _fits(entry: ArmWeights, module: str, layer: int | None) -> bool:
    if entry.modules is not None and not fnmatchcase(module, entry.modules):
        return False
    if entry.layers is None:
        return True
    return (
        layer is not None and entry.layers.first <= layer and (entry.layers.last is None or layer <= entry.layers.last)
    )


def _last_of(entry: ArmWeights, last: int) -> int:
    assert entry.layers is not None
    return last if entry.layers.last is None else entry.layers.last


def _between(anchors: Sequence[WeightAnchor], position: float) -> tuple[float, float]:
    """`position`: from 0 at the first anchor to 1 at the last."""
    place = min(max(position, 0.0), 1.0) * (len(anchors) - 1)
    left = min(int(place), len(anchors) - 2)
    share = place - left
    here, there = anchors[left], anchors[left + 1]
    return (
        here.sft * (1 - share) + there.sft * share,
        here.preference * (1 - share) + there.preference * share,
    )
