"""How the two deltas meet and what merging leaves of them: figures by tensor, layer and model, and warnings."""

import math
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from paft_api.spec.merge_methods import HAS_ITS_OWN_WEIGHTS, ONE_ARM, MergeMethod
from paft_api.spec.merge_options import MergeOptions
from paft_trainer.merge.arithmetic import Added, Meeting
from paft_trainer.merge.lengths import Lengths, sum_of
from paft_trainer.merge.module_weights import layer_of
from paft_trainer.merge.saved_tensors import Replacement

FORMAT_VERSION = 1
FAR_APART = 30.0
"""Ratio of lengths from which the shorter delta has next to no part in a merge."""
FAR_FROM_THE_MERGE = 0.05
"""Relative error of an adapter of a lower rank from which the merge is hardly the one that was asked for."""
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
    base's bits after rounding, None where nothing is added to a base. `square`: squared length of the merged delta
    before rounding."""

    zero: int
    unchanged: int | None
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
        is_rounded = self.unchanged is not None and other.unchanged is not None
        return Outcome(
            zero=self.zero + other.zero,
            unchanged=self.unchanged + other.unchanged if is_rounded else None,
            square=self.square + other.square,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class TensorFigures:
    """Of one tensor, by one merge. `outcome`: None for a merge that cannot be told without the base.

    `residual`: squared length of what the factors of a lower rank leave out, where the merge is written as such.
    """

    name: str
    entries: int
    lengths: Lengths
    meeting: Meeting
    outcome: Outcome | None
    residual: float | None = None

    def with_residual(self, residual: float) -> "TensorFigures":
        """The same, written with factors that leave so much out."""
        return replace(self, residual=residual)

    def to_document(self) -> dict[str, Any]:
        """As the report has it."""
        return {"name": self.name} | _figures([self])

    def to_record(self) -> dict[str, Any]:
        """All there is, to be read again."""
        numbers: dict[str, Any] = {"name": self.name, "entries": self.entries, "residual": self.residual}
        for part, names in _RECORDED.items():
            value = getattr(self, part)
            numbers[part] = None if value is None else [getattr(value, name) for name in names]
        return numbers

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> "TensorFigures":
        """What `to_record` wrote."""
        lengths, meeting, outcome = (
            None if record[part] is None else dict(zip(names, record[part], strict=True))
            for part, names in _RECORDED.items()
        )
        assert lengths is not None
        assert meeting is not None
        return cls(
            name=record["name"],
            entries=record["entries"],
            lengths=Lengths(**lengths),
            meeting=Meeting(**meeting),
            outcome=None if outcome is None else Outcome(**outcome),
            residual=record["residual"],
        )


_RECORDED = {
    "lengths": ("first", "second", "product"),
    "meeting": ("first", "second", "both", "opposed"),
    "outcome": ("zero", "unchanged", "square"),
}


def interference_report(
    options: MergeOptions, figures: Sequence[TensorFigures], *, replaced: Mapping[str, Replacement]
) -> dict[str, Any]:
    """The report as a JSON document: the model, its layers, its tensors, and what is worth a word.

    `replaced`: tensors that come from an adapter as they are, by name.
    """
    layers: dict[int, list[TensorFigures]] = {}
    for one in figures:
        layer = layer_of(one.name)
        if layer is not None:
            layers.setdefault(layer, []).append(one)
    return {
        "formatVersion": FORMAT_VERSION,
        "merge": options.resolved(),
        "warnings": [*warnings_of(options, figures), *_replaced(replaced)],
        "model": _figures(figures),
        "layers": [{"layer": layer} | _figures(layers[layer]) for layer in sorted(layers)],
        "tensors": [one.to_document() for one in figures],
        "replaced": [{"name": name} | replaced[name].to_document() for name in sorted(replaced)],
    }


def warnings_of(options: MergeOptions, figures: Sequence[TensorFigures]) -> list[str]:
    """What people who look at the merge should know."""
    found = [*_nothing_to_trim(options, figures), *_one_arm_rules(options, figures), *_arc_is_a_line(options, figures)]
    return [*found, *_lost_to_rounding(figures), *_far_from_the_merge(figures)]


def _lost_to_rounding(figures: Sequence[TensorFigures]) -> Iterable[str]:
    together = _together(figures)
    if together.outcome is None or together.outcome.unchanged is None:
        return
    changed = together.entries - together.outcome.zero
    lost = together.outcome.unchanged - together.outcome.zero
    if changed and lost / changed > 0.5:
        yield (
            f"{lost / changed:.0%} of the entries that the merge changes are lost to rounding: the deltas are too "
            "small for the base's dtype"
        )


def _far_from_the_merge(figures: Sequence[TensorFigures]) -> Iterable[str]:
    error = _figures(figures)["rankError"]
    if error is not None and error > FAR_FROM_THE_MERGE:
        yield (
            f"the adapter differs from the merged deltas by {error:.1%} of their length: its rank is too low for them; "
            "raise output.rank, or use form Full, which is exact"
        )


def _replaced(replaced: Mapping[str, Replacement]) -> Iterable[str]:
    for arm in sorted({one.arm for one in replaced.values()}):
        names = sorted(name for name, one in replaced.items() if one.arm == arm)
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        yield (
            f"{names[0]}{more} are the {arm} adapter's own, not merged"
            if more
            else (f"{names[0]} is the {arm} adapter's own, not merged")
        )


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
    outcome: Outcome | None = Outcome(zero=0, unchanged=0, square=0.0)
    meeting = NOWHERE
    for one in figures:
        outcome = None if outcome is None or one.outcome is None else outcome + one.outcome
        meeting += one.meeting
    residuals = [one.residual for one in figures if one.residual is not None]
    return TensorFigures(
        name="",
        entries=sum(one.entries for one in figures),
        lengths=sum_of([one.lengths for one in figures]),
        meeting=meeting,
        outcome=outcome,
        residual=math.fsum(residuals) if residuals else None,
    )


def _figures(figures: Sequence[TensorFigures]) -> dict[str, Any]:
    """Shares are of all entries, unless they say of which. None where there is nothing to divide by."""
    one = _together(figures)
    first, second = one.lengths.lengths
    plain = math.sqrt(max(one.lengths.first + one.lengths.second + 2 * one.lengths.product, 0.0))
    either = one.meeting.first + one.meeting.second - one.meeting.both
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
    } | _outcome(one, plain)


def _outcome(one: TensorFigures, plain: float) -> dict[str, Any]:
    """`plain`: length of the plain sum of both deltas."""
    merged = zero = unchanged = lost = changed = None
    if one.outcome is not None:
        merged, zero, unchanged = math.sqrt(one.outcome.square), one.outcome.zero, one.outcome.unchanged
        changed = one.entries - zero
        lost = None if unchanged is None else unchanged - zero
    return {
        "normMerged": merged,
        "normKept": _ratio(merged, plain),
        "zeroBeforeRounding": _ratio(zero, one.entries),
        "zeroAfterRounding": _ratio(unchanged, one.entries),
        "lostToRounding": _ratio(lost, changed),
        "rankError": None if one.residual is None else _ratio(math.sqrt(one.residual), merged),
    }


def _ratio(part: float | None, whole: float | None) -> float | None:
    return part / whole if part is not None and whole else None
