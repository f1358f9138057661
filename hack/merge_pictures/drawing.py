"""An example as a picture: SVG for light and dark pages, for telephones, and for those who cannot see it."""

from collections.abc import Iterable
from html import escape

import numpy as np
from hack.merge_pictures.example import Entries, Example

from paft_api.spec.merge_methods import MergeMethod

WIDTH, PITCH, BAR, LEFT = 360, 14, 9, 12
UNIT = 24.0
"""Height of an entry of 1.0."""
ARM_REACH, MERGED_REACH = 1.0, 1.85
"""Largest magnitude that a row has room for."""
LABEL, GAP, TOP = 16, 8, 24
SIGNS, NO_SIGNS = ("■ ", "▨ ", "□ "), ("", "", "")
"""How bars are drawn of what goes in, is outvoted, is taken out."""

STYLE = (
    "text{font:11px system-ui,sans-serif;fill:#1f2328}.h{font-weight:600;font-size:12px}"
    ".r{text-anchor:end;fill:#59636e}.p{fill:#fff;stroke:#d1d9e0}.b{fill:#f3f5f7}.z{stroke:#818b98;stroke-width:.75}"
    ".s{fill:#0969da;stroke:#0969da}.q{fill:#bc4c00;stroke:#bc4c00}.m{fill:#1a7f37;stroke:#1a7f37}"
    ".o{fill-opacity:0;stroke-opacity:.75}.v{fill-opacity:.3;stroke-dasharray:2 1.5}"
    "@media(prefers-color-scheme:dark){text{fill:#f0f6fc}.r{fill:#9198a1}.p{fill:#0d1117;stroke:#3d444d}"
    ".b{fill:#171c23}.z{stroke:#656c76}.s{fill:#4493f8;stroke:#4493f8}.q{fill:#f0883e;stroke:#f0883e}"
    ".m{fill:#3fb950;stroke:#3fb950}}"
)
_TAKEN_OUT = {
    MergeMethod.TIES: "trimmed",
    MergeMethod.BREADCRUMBS: "removed",
    MergeMethod.SCE: "not selected",
    MergeMethod.SFT_ONLY: "left out",
    MergeMethod.PREFERENCE_ONLY: "left out",
}
"""What entries are called that do not stay; in the other methods: dropped."""


def picture(example: Example) -> str:
    """The SVG of one merge: a row of bars for either delta, and one for the merged delta below them."""
    method = example.options.method
    parts: list[str] = []
    top = float(TOP)
    for arm, (name, style) in enumerate((("SFT delta", "s"), ("preference delta", "q"))):
        stays, outvoted, delta = example.stays[arm], example.outvoted[arm], example.deltas[arm]
        out = (delta != 0) & ~stays
        bars = [("", stays & ~outvoted), (" o", out), (" v", outvoted)]
        parts += _row(top, name, _arm_note(example, arm, signs=SIGNS), ARM_REACH)
        middle = top + LABEL + ARM_REACH * UNIT
        parts += [_bars(delta, where, middle, style + more) for more, where in bars if where.any()]
        top = middle + ARM_REACH * UNIT + GAP
    parts += _row(top, "merged delta", f"length {_length(example.merged):.2f}", MERGED_REACH)
    middle = top + LABEL + MERGED_REACH * UNIT
    parts.append(_bars(example.merged, example.merged != 0, middle, "m"))
    height = middle + MERGED_REACH * UNIT + GAP
    bands = "".join(
        f"M{LEFT + index * PITCH} {TOP + LABEL}h{PITCH}V{height - GAP:g}h{-PITCH}z" for index in range(0, 24, 2)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height:g}" viewBox="0 0 {WIDTH} {height:g}" '
        f'role="img" aria-labelledby="t d">\n<title id="t">{method.value}: two deltas and the merged one</title>\n'
        f'<desc id="d">{escape(describe(example))}</desc>\n<style>{STYLE}</style>\n'
        f'<rect class="p" x=".5" y=".5" width="{WIDTH - 1}" height="{height - 1:g}" rx="6"/>\n'
        f'<path class="b" d="{bands}"/>\n<text class="h" x="{LEFT}" y="18">{escape(_heading(example))}</text>\n'
        + "\n".join(parts)
        + "\n</svg>\n"
    )


def describe(example: Example) -> str:
    """What is to be seen, in words."""
    entries = len(example.merged)
    arms = "; ".join(
        f"{name} delta: {int((delta != 0).sum())} of them are not 0, {_arm_note(example, arm, signs=NO_SIGNS)}"
        for arm, (name, delta) in enumerate(zip(("SFT", "preference"), example.deltas, strict=True))
    )
    changed = int((example.merged != 0).sum())
    return (
        f"Bars of {entries} entries, {_heading(example)}. {arms}. Merged delta: {changed} entries are not 0, length "
        f"{_length(example.merged):.2f}; {_values(example.merged)}."
    )


def _heading(example: Example) -> str:
    options = example.options.resolved()
    shown = [f"{name} {options[name]}" for name in ("density", "gamma", "epsilon") if name in options]
    if example.options.method in (MergeMethod.SLERP, MergeMethod.MODEL_STOCK):
        shown.append(f"deltas at a cosine of {example.cosine:.2f}")
    return ", ".join([example.options.method.value, *shown])


def _arm_note(example: Example, arm: int, *, signs: tuple[str, str, str]) -> str:
    """Counts of what stays and of the rest. `signs`: before what goes in, is outvoted, is taken out."""
    delta, stays, outvoted = example.deltas[arm], example.stays[arm], example.outvoted[arm]
    taken_out = _TAKEN_OUT.get(example.options.method, "dropped")
    counts = (("in", stays & ~outvoted), ("outvoted", outvoted), (taken_out, (delta != 0) & ~stays))
    found = [
        f"{sign}{int(where.sum())} {word}" for sign, (word, where) in zip(signs, counts, strict=True) if where.any()
    ]
    if len(found) == 1 and found[0].endswith(" in"):
        return f"length {_length(delta):.2f}"
    return ", ".join(found)


def _row(top: float, name: str, note: str, reach: float) -> Iterable[str]:
    middle = top + LABEL + reach * UNIT
    return (
        f'<text x="{LEFT}" y="{top + 11:g}">{name}</text>'
        f'<text class="r" x="{WIDTH - LEFT}" y="{top + 11:g}">{note}</text>',
        f'<path class="z" d="M{LEFT} {middle:g}h{24 * PITCH}"/>',
    )


def _bars(entries: Entries, where: Entries, middle: float, style: str) -> str:
    """Bars from the line of zero."""
    bars = []
    for index in np.flatnonzero(where):
        left = LEFT + index * PITCH + (PITCH - BAR) // 2
        bars.append(f"M{left} {middle:g}v{-entries[index] * UNIT:.1f}h{BAR}V{middle:g}z")
    return f'<path class="{style}" d="{"".join(bars)}"/>'


def _length(entries: Entries) -> float:
    return float(np.sqrt((entries.astype(np.float64) ** 2).sum()))


def _values(entries: Entries) -> str:
    return " ".join(f"{float(entry):.2f}" if entry else "0" for entry in entries)
