"""How the two deltas meet and what merging leaves of them: figures by tensor, layer and model, and warnings."""

import math
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from paft_api.spec.merge_methods import HAS_ITS_OWN_WEIGHTS, ONE_ARM, MergeMethod
from paft_api.spec.merge_options import MergeOptions
from paft_trainer.merge.arithmetic import Added, Meeting
from paft_trainer.merge.lengths import Lengths, sum_of
from paft_trainer.merge.module_weights import layer_of

FORMAT_VERSION = 1
FAR_APART = 30.0
"""Ratio of lengths from which the shorter delta has next to no part in a merge."""
NOWHERE = Meeting(first=0, second=0, both=0, opposed=0)


@dataclass(kw_only=True, slots=True)
class RowsOutcome:
    """What one merge made of some rows. `squares`: of each row, the squared length of its merged delta; they are added
    up all at once, so that no figure depends on how rows were grouped."""

    zero: int = 0
    unchanged: int = 0
    squares: "array[float]" = field(default_factory=lambda: array("d"))

    def take(self, added: Added, squares: Sequence[float]) -> None:
        """Take up the rows that come next."""
        self.zero += added.zero
        self.unchanged += added.unchanged
        self.squares.extend(squares)


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What one merge made of some entries. `zero`: entries whose merged delta is 0. `unchanged`: entries that have the
    base's bits after rounding. `square`: squared length of the merged delta before rounding."""

    zero: int
    unchanged: int
    square: float

    @classmethod
    def of(cls, parts: Sequence[RowsOutcome]) -> "Outcome":
        """Of all rows of a tensor."""
        return cls(
            zero=sum(part.zero for part in parts),
            unchanged=sum(part.unchanged for part in parts),
            square=math.fsum(square for part in parts for square in part.squares),
        )

    def __add__(self, other: "Outcome") -> "Outcome":
        return Outcome(
            zero=self.zero + other.zero,
            unchanged=self.unchanged + other.unchanged,
            square=self.square + other.square,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class TensorFigures:
    """Of one tensor, by one merge."""

    name: str
    entries: int
    lengths: Lengths
    meeting: Meeting
    outcome: Outcome

    def to_document(self) -> dict[str, Any]:
        """As the report has it."""
        return {"name": self.name} | _figures([self])

    def to_record(self) -> dict[str, Any]:
        """All there is, to be read again."""
        numbers: dict[str, Any] = {"name": self.name, "entries": self.entries}
        for part, names in _RECORDED.items():
            numbers[part] = [getattr(getattr(self, part), name) for name in names]
        return numbers

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> "TensorFigures":
        """What `to_record` wrote."""
        lengths, meeting, outcome = (dict(zip(names, record[part], strict=True)) for part, names in _RECORDED.items())
        return cls(
            name=record["name"],
            entries=record["entries"],
            lengths=Lengths(**lengths),
            meeting=Meeting(**meeting),
            outcome=Outcome(**outcome),
        )


_RECORDED = {
    "lengths": ("first", "second", "product"),
    "meeting": ("first", "second", "both", "opposed"),
    "outcome": ("zero", "unchanged", "square"),
}


def interference_report(options: MergeOptions, figures: Sequence[TensorFigures]) -> dict[str, Any]:
    """The report as a JSON document: the model, its layers, its tensors, and what is worth a word."""
    layers: dict[int, list[TensorFigures]] = {}
    for one in figures:
        layer = layer_of(one.name)
        if layer is not None:
            layers.setdefault(layer, []).append(one)
    return {
        "formatVersion": FORMAT_VERSION,
        "merge": options.resolved(),
        "warnings": warnings_of(options, figures),
        "model": _figures(figures),
        "layers": [{"layer": layer} | _figures(layers[layer]) for layer in sorted(layers)],
        "tensors": [one.to_document() for one in figures],
    }


def warnings_of(options: MergeOptions, figures: Sequence[TensorFigures]) -> list[str]:
    """What people who look at the merge should know."""
    found = [*_nothing_to_trim(options, figures), *_one_arm_rules(options, figures), *_arc_is_a_line(options, figures)]
    together = _together(figures)
    changed = together.entries - together.outcome.zero
    lost = together.outcome.unchanged - together.outcome.zero
    if changed and lost / changed > 0.5:
        found.append(
            f"{lost / changed:.0%} of the entries that the merge changes are lost to rounding: the deltas are too "
            "small for the base's dtype"
        )
    return found


def _nothing_to_trim(options: MergeOptions, figures: Sequence[TensorFigures]) -> Iterable[str]:
    if options.method is not MergeMethod.TIES:
        return
    sft = _together([one for one in figures if one.lengths.first > 0])
    preference = _together([one for one in figures if one.lengths.second > 0])
    for arm, present, entries in (
        ("sft", sft.meeting.first, sft.entries),
        ("preference", preference.meeting.second, preference.entries),
    ):
        share = present / entries if entries else 0.0
        if 0 < share <= options.resolved_density:
            yield (
                f"density {options.resolved_density} is above the {arm} delta's own density of {share:.3f}: trimming "
                "does next to nothing to it"
            )


def _one_arm_rules(options: MergeOptions, figures: Sequence[TensorFigures]) -> Iterable[str]:
    if options.method in ONE_ARM:
        return
    first, second = _together(figures).lengths.lengths
    longer, shorter = max(first, second), min(first, second)
    if longer == 0:
        yield "both deltas are 0: the merge is the base"
    elif shorter == 0:
        yield f"the {'sft' if first == 0 else 'preference'} delta is 0: the merge is of one arm alone"
    elif longer / shorter >= FAR_APART and options.balance in (None, "None"):
        arm, other = ("sft", "preference") if first > second else ("preference", "sft")
        remedy = "" if options.method in HAS_ITS_OWN_WEIGHTS else "; balance: Tensor or other weights may help"
        yield (
            f"the {arm} delta is {longer / shorter:.0f} times as long as the {other} delta, which has next to no part "
            f"in the merge{remedy}"
        )


def _arc_is_a_line(options: MergeOptions, figures: Sequence[TensorFigures]) -> Iterable[str]:
    if options.method is not MergeMethod.SLERP:
        return
    if options.resolved()["wholeWeights"] is True:
        yield (
            "between whole weights of one base the arc is a line within rounding: this slerp equals linear; leave "
            "wholeWeights out to go along the arc between the deltas"
        )
    cosine = _together(figures).lengths.cosine
    if cosine is not None and abs(cosine) > 0.9995:
        yield f"the deltas are parallel (cosine {cosine:.4f}): slerp equals linear"


def _together(figures: Sequence[TensorFigures]) -> TensorFigures:
    outcome = Outcome(zero=0, unchanged=0, square=0.0)
    meeting = NOWHERE
    for one in figures:
        outcome, meeting = outcome + one.outcome, meeting + one.meeting
    return TensorFigures(
        name="",
        entries=sum(one.entries for one in figures),
        lengths=sum_of([one.lengths for one in figures]),
        meeting=meeting,
        outcome=outcome,
    )


def _figures(figures: Sequence[TensorFigures]) -> dict[str, Any]:
    """Shares are of all entries, unless they say of which. None where there is nothing to divide by."""
    one = _together(figures)
    first, second = one.lengths.lengths
    plain = math.sqrt(max(one.lengths.first + one.lengths.second + 2 * one.lengths.product, 0.0))
    merged = math.sqrt(one.outcome.square)
    either = one.meeting.first + one.meeting.second - one.meeting.both
    changed = one.entries - one.outcome.zero
    return {
        "entries": one.entries,
        "normSft": first,
        "normPreference": second,
        "normRatio": _ratio(first, second),
        "cosine": one.lengths.cosine,
        "densitySft": _ratio(one.meeting.first, one.entries),
        "densityPreference": _ratio(one.meeting.second, one.entries),
        "supportOverlap": _ratio(one.meeting.both, either),
        "signConflicts": _ratio(one.meeting.opposed, one.meeting.both),
        "normMerged": merged,
        "normKept": _ratio(merged, plain),
        "zeroBeforeRounding": _ratio(one.outcome.zero, one.entries),
        "zeroAfterRounding": _ratio(one.outcome.unchanged, one.entries),
        "lostToRounding": _ratio(one.outcome.unchanged - one.outcome.zero, changed),
    }


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole else None
