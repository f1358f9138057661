"""Counts on the command line: `50M` for both arms, `sft=50M` for one."""

import re
from collections.abc import Sequence

from paft_api.stages import ARMS

_COUNT = re.compile(r"([0-9]+(?:\.[0-9]+)?)([kMGBT]?)")
_UNITS = {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9, "B": 1e9, "T": 1e12}


def counts_by_arm(option: str, values: Sequence[str]) -> dict[str, float]:
    """Raises ValueError, with `option`'s name, for what is no count or no arm."""
    counts: dict[str, float] = {}
    for value in values:
        arm, equals, text = value.rpartition("=")
        if equals and arm not in ARMS:
            raise ValueError(f"{option} {value!r}: {arm!r} is no arm; use sft=N or preference=N")
        match = _COUNT.fullmatch(text)
        if match is None or float(match[1]) == 0:
            raise ValueError(f"{option} {value!r}: {text!r} is no count above 0; write 50000000, 50M or 0.05G")
        for name in [arm] if equals else [stage.value for stage in ARMS]:
            if name in counts:
                raise ValueError(f"{option} is given twice for {name}")
            counts[name] = float(match[1]) * _UNITS[match[2]]
    return counts
