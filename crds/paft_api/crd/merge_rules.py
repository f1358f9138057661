"""Rules of spec.merge: of its options, which candidates have too, of weights, candidates and the output."""

from collections.abc import Iterator, Mapping

from paft_api.crd.expressions import literal, resolved
from paft_api.crd.rule import Rule, formatted
from paft_api.spec import ArmWeights, MergeOptions, MergeOutput, WeightAnchor
from paft_api.spec.merge_methods import HAS_ITS_OWN_WEIGHTS, METHODS_WITH, MergeMethod
from paft_api.spec.merge_weights import LayerRange
from paft_api.stages import ARMS

_METHOD = resolved(MergeOptions, "method")
_DENSITY = resolved(MergeOptions, "density", default=f'({resolved(MergeOptions, "preset")} == "mergekit" ? 1.0 : 0.5)')
_FORM = resolved(MergeOutput, "form")
_FORM_OF_OUTPUT = f"(has(self.output.form) ? self.output.form : {literal(MergeOutput.model_fields['form'].default)})"
_WHOLE_WEIGHTS = resolved(MergeOptions, "wholeWeights", default=f'({resolved(MergeOptions, "preset")} == "mergekit")')


def _options_act() -> Iterator[Rule]:
    for field, methods in METHODS_WITH.items():
        name = MergeOptions.model_fields[field].alias
        remedy = f"remove it or use {' or '.join(sorted(methods))}"
        yield Rule(
            rule=f"!has(self.{name}) || {_METHOD} in {literal(sorted(methods))}",
            message=f"it has no effect with this method; {remedy}",
            message_expression=formatted(f"%s has no effect with method %s; {remedy}", f"self.{name}", _METHOD),
            field_path=f".{name}",
        )


def _numbers(model: type[ArmWeights] | type[WeightAnchor], of: str) -> list[str]:
    return [resolved(model, arm, of=of) for arm in ARMS]


def _every_entry(method: MergeMethod, *, plain: str, gradient: str, words: str) -> Rule:
    """A rule of one method about each entry of weights; the message names the first wrong one by its index.

    `plain` and `gradient`: CEL about an `entry` without and with a gradient.
    """
    fits = f"(has(entry.gradient) ? {gradient} : {plain})"
    return Rule(
        rule=f"{_METHOD} != {literal(method)} || !has(self.weights) || self.weights.all(entry, {fits})",
        message=f"one of weights {words}",
        message_expression=formatted(f"weights[%d] {words}", f"self.weights.map(entry, {fits}).indexOf(false)"),
    )


def _slerp_weights_are_a_place_between() -> Rule:
    def is_place(sft: str, preference: str) -> str:
        return f"{sft} >= 0.0 && {preference} >= 0.0 && {sft} + {preference} > 0.0"

    return _every_entry(
        MergeMethod.SLERP,
        plain=is_place(*_numbers(ArmWeights, "entry")),
        gradient=f"entry.gradient.all(anchor, {is_place(*_numbers(WeightAnchor, 'anchor'))})",
        words="is no place between two deltas; slerp needs weights of which none is negative and one is above 0",
    )


def _linear_weights_have_a_sum() -> Rule:
    of_anchor = " + ".join(_numbers(WeightAnchor, "anchor"))
    return _every_entry(
        MergeMethod.LINEAR,
        plain=f"{' + '.join(_numbers(ArmWeights, 'entry'))} != 0.0",
        gradient=f"(entry.gradient.all(anchor, {of_anchor} > 0.0) || entry.gradient.all(anchor, {of_anchor} < 0.0))",
        words="has a sum that is 0 or becomes 0 between anchors, and linear divides by it; give weights whose sum "
        "keeps its sign, or use task_arithmetic",
    )


def _weights_act() -> Rule:
    sft, preference = _numbers(ArmWeights, "entry")
    is_default = (
        f"!has(entry.modules) && !has(entry.layers) && !has(entry.gradient) && {sft} == 1.0 && {preference} == 1.0"
    )
    remedy = "which finds its own; remove them"
    return Rule(
        rule=f"!({_METHOD} in {literal(sorted(HAS_ITS_OWN_WEIGHTS))}) || !has(self.weights) || "
        f"size(self.weights) <= 1 && self.weights.all(entry, {is_default})",
        message=f"they have no effect with this method, {remedy}",
        message_expression=formatted(f"have no effect with method %s, {remedy}", _METHOD),
        field_path=".weights",
    )


def _candidates_have_names_of_their_own() -> Rule:
    is_own = "self.candidates.exists_one(other, other.name == candidate.name)"
    return Rule(
        rule=f"!has(self.candidates) || self.candidates.all(candidate, {is_own})",
        message="has a name twice; give each its own",
        message_expression=formatted(
            "has the name %s twice; give each its own", f"self.candidates.filter(candidate, !{is_own})[0].name"
        ),
        field_path=".candidates",
    )


def _adapters_hold_deltas() -> Rule:
    words = (
        "cannot hold what slerp with wholeWeights true does to the base's own weights; use wholeWeights false or form "
        "Full"
    )
    return Rule(
        rule=f'{_METHOD} != {literal(MergeMethod.SLERP)} || !{_WHOLE_WEIGHTS} || {_FORM_OF_OUTPUT} != "Adapter"',
        message=f"Adapter {words}",
        field_path=".output.form",
    )


def _candidates_are_checkpoints() -> Rule:
    form = _FORM_OF_OUTPUT
    return Rule(
        rule=f'!has(self.candidates) || size(self.candidates) == 0 || {form} == "Full"',
        message="are fused checkpoints; use output.form Full or remove them",
        message_expression=formatted(
            "are fused checkpoints, but output.form is %s; use form Full or remove them", form
        ),
        field_path=".candidates",
    )


MERGE_RULES: Mapping[str, list[Rule]] = {
    "merge_options.MergeOptions._options_act": list(_options_act()),
    "merge_options.MergeOptions._weights_act": [_weights_act()],
    "merge_options.MergeOptions._first_weights_hold_everywhere": [
        Rule(
            rule="!has(self.weights) || size(self.weights) == 0 || "
            "!has(self.weights[0].modules) && !has(self.weights[0].layers)",
            message="weights[0] must hold everywhere; put an entry without modules and layers before it, such as "
            "{sft: 1.0, preference: 1.0}",
        )
    ],
    "merge_options.MergeOptions._epsilon_has_room": [
        Rule(
            rule=f'{_METHOD} != "della" || !has(self.epsilon) || '
            f"{_DENSITY} - self.epsilon >= 0.0 && {_DENSITY} + self.epsilon <= 1.0",
            message="around the density it leaves 0 to 1; lower it to at most the smaller of density and 1 - density",
            message_expression=formatted(
                "%s around density %s leaves 0 to 1; lower it to at most the smaller of density and 1 - density",
                "self.epsilon",
                _DENSITY,
            ),
            field_path=".epsilon",
        )
    ],
    "merge_options.MergeOptions._slerp_weights_are_a_place_between": [_slerp_weights_are_a_place_between()],
    "merge_options.MergeOptions._linear_weights_have_a_sum": [_linear_weights_have_a_sum()],
    "merge_weights.LayerRange._is_in_order": [
        Rule(
            rule=f"!has(self.last) || self.last >= {resolved(LayerRange, 'first')}",
            message="it comes before first; give the lower number to first",
            message_expression=formatted(
                "%d comes before first %d; give the lower number to first", "self.last", resolved(LayerRange, "first")
            ),
            field_path=".last",
        )
    ],
    "merge_weights.ArmWeights._gradient_or_numbers": [
        Rule(
            rule="!has(self.gradient) || " + " && ".join(f"{number} == 1.0" for number in _numbers(ArmWeights, "self")),
            message="takes the place of sft and preference; remove either",
            field_path=".gradient",
        )
    ],
    "merge.MergeOutput._rank_is_an_adapters": [
        Rule(
            rule=f'!has(self.rank) || {_FORM} == "Adapter"',
            message="it has no effect with this form; remove it or use form Adapter",
            message_expression=formatted(
                "%d has no effect with form %s; remove it or use form Adapter", "self.rank", _FORM
            ),
            field_path=".rank",
        )
    ],
    "merge.MergeSpec._candidates_have_names_of_their_own": [_candidates_have_names_of_their_own()],
    "merge.MergeSpec._adapters_hold_deltas": [_adapters_hold_deltas()],
    "merge.MergeSpec._candidates_are_checkpoints": [_candidates_are_checkpoints()],
}
"""By the validator's name in the tables of `paft_api.crd.rules`."""
