"""Options of a merge in words."""

import json
from collections.abc import Mapping
from typing import Any

from paft_api.stages import ARMS


def options_in_words(options: Mapping[str, Any]) -> str:
    """One line. `options`: as MergeOptions.resolved() gives them."""
    named = [
        f"{name} {value if isinstance(value, str) else json.dumps(value)}"
        for name, value in options.items()
        if name not in ("method", "weights")
    ]
    weights = "; ".join(_entry_in_words(entry) for entry in options.get("weights", ()))
    return ", ".join([options["method"], *named, *([f"weights {weights}"] if weights else [])])


def _entry_in_words(entry: Mapping[str, Any]) -> str:
    where = [f"in {entry['modules']}"] if "modules" in entry else []
    if "layers" in entry:
        where.append(f"from layer {entry['layers']['first']} to {entry['layers'].get('last', 'the last')}")
    anchors = entry.get("gradient", [entry])
    numbers = " and ".join(f"{arm} {' → '.join(str(anchor[arm]) for anchor in anchors)}" for arm in ARMS)
    return " ".join([*where, numbers])
