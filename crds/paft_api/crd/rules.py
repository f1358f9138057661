"""The checks that pydantic runs as code, told once more in CEL: the API server runs them at admission.

A rule's message is the model's own, word for word. Where the first word of that is a path, it is the rule's field path
instead. A validator that is in none of the tables below makes the generator fail.
"""

from collections.abc import Callable, Mapping

from paft_api.crd.expressions import literal, resolved
from paft_api.crd.merge_rules import MERGE_RULES
from paft_api.crd.rule import Rule, formatted
from paft_api.labels import RESERVED_KEYS, RESERVED_PREFIXES
from paft_api.model import MAXIMUM_URI_LENGTH, Unavailable
from paft_api.spec import DataFormat, DpoSpec, L1Spec, PreferenceSpec, SchedulingSpec, SftSpec
from paft_api.spec.data import FIELDS, SFT_FORMATS
from paft_api.spec.preference import OF_THE_DIFFERENCE, SMOOTHED
from paft_api.spec.trainer import Toleration
from paft_api.spec.training import SftTrainingSpec
from paft_api.stage_pods import RENDEZVOUS_VARIABLES


def rules_of(validator: Callable[..., object]) -> list[Rule]:
    """The rules that stand for a validator. Raises LookupError for one that nobody has thought about."""
    if isinstance(validator, Unavailable):
        return [Rule(rule=f"self != {literal(value)}", message=validator.message(value)) for value in validator.values]
    name = name_of(validator)
    if name in NOT_IN_THE_SCHEMA:
        return []
    if name not in RULES:
        raise LookupError(f"{name} is not in the CRD: add its rule to paft_api/crd/rules.py, or why there is none")
    return RULES[name]


def name_of(validator: Callable[..., object]) -> str:
    """A validator's name in the tables: its module's last part and its own."""
    return f"{validator.__module__.rpartition('.')[2]}.{validator.__qualname__}"


def _global_batch_divides() -> Rule:
    batch = resolved(SftSpec, "training.globalBatchSize")
    micro = resolved(SftSpec, "training.microBatchSize")
    nodes = resolved(SftSpec, "resources.nodes")
    gpus = resolved(SftSpec, "resources.gpusPerNode")
    per_node = resolved(SftSpec, "resources.processesPerNode", default=f"({gpus} > 0 ? {gpus} : 1)")
    processes = f"{nodes} * {per_node}"
    step = f"({processes} * {micro})"
    nearest = f"({batch} < {step} ? {step} : (2 * {batch} + {step} - 1) / (2 * {step}) * {step})"
    # Numbers out of bounds have an error of their own, and would divide by zero or overflow here.
    in_bounds = f"[{batch}, {micro}, {nodes}, {per_node}].all(number, number > 0 && number <= 65536)"
    return Rule(
        rule=f"!{in_bounds} || {batch} % {step} == 0",
        message="it must be a multiple of resources.nodes × resources.processesPerNode × training.microBatchSize",
        message_expression=formatted(
            "%d is not a multiple of %d processes × microBatchSize %d = %d; use %d",
            *(batch, processes, micro, step, nearest),
        ),
        field_path=".training.globalBatchSize",
    )


def _formats_fit(*allowed: DataFormat) -> list[Rule]:
    names = " or ".join(allowed)
    rules = []
    for field, sources in (("train", "self.data.train"), ("eval", resolved(SftSpec, "data.eval"))):
        fits = f"source.format in {literal(allowed)}"
        index = f"{sources}.map(source, {fits}).indexOf(false)"
        unfit = f"{sources}.filter(source, !({fits}))[0].format"
        words = f"cannot be used in this arm; use {names}"
        rules.append(
            Rule(
                rule=f"{sources}.all(source, {fits})",
                message=f"data.{field} has a format that {words}",
                message_expression=formatted(f"data.{field}[%d].format %s {words}", index, unfit),
            )
        )
    return rules


def _columns_fit(format_: DataFormat) -> Rule:
    """One rule for each format: the API server takes what is looked up in a map of lists to be endlessly long."""
    fields = FIELDS[format_]
    is_field = f"name in {literal(fields)}"
    return Rule(
        rule=f"self.format != {literal(format_)} || !has(self.columns) || self.columns.all(name, {is_field})",
        message=f"columns names what is no field of {format_}; use {', '.join(fields)}",
        message_expression=formatted(
            f"columns.%s is no field of {format_}; use {', '.join(fields)}",
            f"self.columns.filter(name, !({is_field}))[0]",
        ),
    )


def _output_is_apart(name: str) -> Rule:
    output, other = folder("self.merge.output.uri"), folder(f"self.{name}")
    remedy = "lie in one another; give the output a folder of its own"
    return Rule(
        rule=f"!{output}.startsWith({other}) && !{other}.startsWith({output})",
        message=f"it and {name} {remedy}",
        message_expression=formatted(f"%s and {name} %s {remedy}", output, other),
        field_path=".merge.output.uri",
    )


def folder(uri: str) -> str:
    """A folder's address with the `/` that the models add."""
    return f'({uri}.endsWith("/") ? {uri} : {uri} + "/")'


def _options_are_the_methods(name: str) -> Rule:
    remedy = f"remove it or use method {name}"
    return Rule(
        rule=f"!has(self.{name}) || {_PREFERENCE_METHOD} == {literal(name)}",
        message=f"it has no effect with this method; {remedy}",
        message_expression=formatted(f"has no effect with method %s; {remedy}", _PREFERENCE_METHOD),
        field_path=f".{name}",
    )


def _acts_with(name: str, losses: tuple[str, ...]) -> Rule:
    words = f"has no effect without loss {' or '.join(losses)}; remove it"
    return Rule(
        rule=f"!has(self.{name}) || {_LOSS_TYPES}.exists(name, name in {literal(losses)})",
        message=f"it {words}",
        message_expression=formatted(f"%s {words}", f"self.{name}"),
        field_path=f".{name}",
    )


IS_RESERVED = " || ".join(
    [f"self in {literal(RESERVED_KEYS)}", *(f"self.startsWith({literal(prefix)})" for prefix in RESERVED_PREFIXES)]
)
"""Whether a label or an annotation is ours or the Job controller's."""

_PREFERENCE_METHOD = resolved(PreferenceSpec, "method")
_LOSS_TYPES = resolved(DpoSpec, "losses[].type")
_DIVERGENCE = resolved(DpoSpec, "fDivergenceType")
_OF_THE_DIFFERENCE = f"name in {literal(OF_THE_DIFFERENCE)}"
_ONCE = f"{_LOSS_TYPES}.exists_one(other, other == name)"
_L1_MODE = resolved(L1Spec, "mode")
_GRANULARITY = resolved(L1Spec, "granularity")
_ADMISSION = resolved(SchedulingSpec, "admission")
_BACKEND = resolved(SchedulingSpec, "backend")
_OPERATOR = resolved(Toleration, "operator")

_EVAL_SOURCES = resolved(SftSpec, "data.eval")
_STOPS_EARLY = "has(self.training) && has(self.training.earlyStopping)"
_PUBLISH = resolved(SftSpec, "training.publish", default='""')
_PUBLISHES_BEST = '(has(self.publish) ? self.publish == "best" : has(self.earlyStopping))'
_KEPT_BEST = resolved(SftTrainingSpec, "keep.best")

RULES: Mapping[str, list[Rule]] = {
    "model.end_with_slash": [
        Rule(
            rule=f'self.endsWith("/") || size(self) < {MAXIMUM_URI_LENGTH}',
            message=f"too long with a / at its end; at most {MAXIMUM_URI_LENGTH} characters are allowed",
        )
    ],
    "arm.ArmSpec._global_batch_divides": [_global_batch_divides()],
    "arm.ArmSpec._early_stopping_has_rows": [
        Rule(
            rule=f"!({_STOPS_EARLY}) || size({_EVAL_SOURCES}) > 0",
            message="needs evaluation rows; add data.eval, or remove earlyStopping",
            field_path=".training.earlyStopping",
        )
    ],
    "arm.ArmSpec._best_has_rows": [
        Rule(
            rule=f'{_PUBLISH} != "best" || size({_EVAL_SOURCES}) > 0',
            message="best needs evaluation rows; add data.eval, or publish last",
            field_path=".training.publish",
        )
    ],
    "training.TrainingSpec._best_is_kept": [
        Rule(
            rule=f"!{_PUBLISHES_BEST} || {_KEPT_BEST} != 0",
            message="0 would let the checkpoint of the best evaluation go; use at least 1, or publish last",
            field_path=".keep.best",
        )
    ],
    "sft.SftSpec._formats_fit": _formats_fit(*SFT_FORMATS),
    "sft.L1Spec._lambda_or_target": [
        Rule(
            rule="!has(self.lambda) || !has(self.targetSparsity)",
            message="excludes targetSparsity; remove one of them",
            field_path=".lambda",
        )
    ],
    "sft.L1Spec._subgradient_needs_lambda": [
        Rule(
            rule=f'{_L1_MODE} != "subgradient" || has(self.lambda)',
            message="subgradient needs lambda; add it, or use proximal",
            field_path=".mode",
        )
    ],
    "sft.L1Spec._rows_need_zeros": [
        Rule(
            rule=f'{_L1_MODE} != "subgradient" || {_GRANULARITY} != "rows"',
            message="rows needs mode proximal, since subgradient makes no row zero",
            field_path=".granularity",
        )
    ],
    "preference.PreferenceSpec._formats_fit": _formats_fit(DataFormat.PREFERENCE),
    "preference.PreferenceSpec._options_are_the_methods": [
        _options_are_the_methods("dpo"),
        _options_are_the_methods("orpo"),
    ],
    "preference.DpoSpec._types_once": [
        Rule(
            rule=f"{_LOSS_TYPES}.all(name, {_ONCE})",
            message="names a type twice; add their weights up in one entry",
            message_expression=formatted(
                "names %s twice; add their weights up in one entry", f"{_LOSS_TYPES}.filter(name, !({_ONCE}))[0]"
            ),
            field_path=".losses",
        )
    ],
    "data.DataSource._columns_fit": [_columns_fit(format_) for format_ in DataFormat],
    "data.DataSpec._evaluation_has_no_weights": [
        Rule(
            rule="!has(self.eval) || self.eval.all(source, !has(source.weight) || source.weight == 1.0)",
            message="eval has a weight, which has no meaning, as each row is evaluated once; remove it",
            message_expression=formatted(
                "eval[%d].weight has no meaning, as each row is evaluated once; remove it",
                "self.eval.map(source, !has(source.weight) || source.weight == 1.0).indexOf(false)",
            ),
        )
    ],
    "preference.DpoSpec._options_act": [
        _acts_with("labelSmoothing", SMOOTHED),
        _acts_with("discopopTau", ("discopop",)),
        Rule(
            rule=f'!has(self.fAlphaDivergenceCoef) || {_DIVERGENCE} == "alpha_divergence"',
            message="it has no effect with this fDivergenceType; remove it or use alpha_divergence",
            message_expression=formatted(
                "%s has no effect with fDivergenceType %s; remove it or use alpha_divergence",
                "self.fAlphaDivergenceCoef",
                _DIVERGENCE,
            ),
            field_path=".fAlphaDivergenceCoef",
        ),
    ],
    "preference.DpoSpec._exo_pair_is_smoothed": [
        Rule(
            rule=f'!{_LOSS_TYPES}.exists(name, name == "exo_pair") || '
            "has(self.labelSmoothing) && self.labelSmoothing > 0.0",
            message="must be above 0 with loss exo_pair; use 0.001, as its paper does",
            field_path=".labelSmoothing",
        )
    ],
    "preference.DpoSpec._divergence_fits": [
        Rule(
            rule=f'{_DIVERGENCE} == "reverse_kl" || {_LOSS_TYPES}.all(name, {_OF_THE_DIFFERENCE})',
            message="it is not defined for one of the losses, which is none of the difference of two rewards; use "
            "reverse_kl, or remove that loss",
            message_expression=formatted(
                "%s is not defined for loss %s, which is none of the difference of two rewards; use reverse_kl, or "
                "remove that loss",
                _DIVERGENCE,
                f"{_LOSS_TYPES}.filter(name, !({_OF_THE_DIFFERENCE}))[0]",
            ),
            field_path=".fDivergenceType",
        )
    ],
    **MERGE_RULES,
    "base_cache._require_no_parents": [
        Rule(
            rule='!self.split("/").exists(part, part == "..")',
            message="leads upwards; write the folder itself, without ..",
            message_expression=formatted("%s leads upwards; write the folder itself, without ..", "self"),
        )
    ],
    "base_cache.BaseCacheSpec._exactly_one_place": [
        Rule(
            rule="[has(self.hostPath), has(self.persistentVolumeClaim), has(self.emptyDir)].exists_one(given, given)",
            message="exactly one of hostPath, persistentVolumeClaim and emptyDir has to be given",
        )
    ],
    "storage.SourceAccess._anonymous_has_no_secret": [
        Rule(
            rule="!has(self.anonymous) || !self.anonymous || !has(self.secretRef)",
            message="true needs no secretRef; remove one of the two",
            field_path=".anonymous",
        )
    ],
    "storage._require_certificates": [
        Rule(
            rule='self.contains("-----BEGIN CERTIFICATE-----")',
            message="it holds no certificate; give PEM text with -----BEGIN CERTIFICATE-----",
        ),
        Rule(
            rule='!self.contains("PRIVATE KEY-----")',
            message="it holds a private key, which everybody could read who reads this job; remove it",
        ),
    ],
    "job.PaftJobSpec._output_is_apart": [_output_is_apart("base.uri"), _output_is_apart("storage.artifactsUri")],
    "scheduling.SchedulingSpec._atomic_needs_a_queue": [
        Rule(
            rule=f'{_ADMISSION} != "Atomic" || has(self.queueName)',
            message="Atomic needs queueName; add the name of a LocalQueue, or use PerArm",
            field_path=".admission",
        )
    ],
    "scheduling.SchedulingSpec._atomic_needs_job_sets": [
        Rule(
            # Without a queue it is refused for that already.
            rule=f'{_ADMISSION} != "Atomic" || !has(self.queueName) || {_BACKEND} != "jobs"',
            message="Atomic needs JobSets; use backend jobset or auto, or admission PerArm",
            field_path=".admission",
        )
    ],
    "trainer.Toleration._exists_has_no_value": [
        Rule(
            rule=f'{_OPERATOR} != "Exists" || !has(self.value)',
            message="it cannot be given with operator Exists; remove it or use Equal",
            message_expression='"\'" + self.value + "\' cannot be given with operator Exists; remove it or use Equal"',
            field_path=".value",
        ),
        Rule(
            rule=f'{_OPERATOR} != "Equal" || has(self.key)',
            message="Equal needs a key; add it, or use operator Exists to tolerate every taint",
            field_path=".operator",
        ),
    ],
    "trainer._require_no_rendezvous": [
        Rule(
            rule=f"!(self in {literal(RENDEZVOUS_VARIABLES)})",
            message="is set by the operator; remove it",
            message_expression=formatted("%s is set by the operator; remove it", "self"),
        )
    ],
    "trainer._require_free": [
        Rule(
            rule=f"!({IS_RESERVED})",
            message="is set by the operator or by Kubernetes; remove it",
            message_expression=formatted("%s is set by the operator or by Kubernetes; remove it", "self"),
        )
    ],
}
"""By `name_of` a validator."""

NOT_IN_THE_SCHEMA: Mapping[str, str] = {
    "free_form._require_small": "CEL sees nothing of a map whose fields no schema names; their number is bounded",
}
"""Validators that nothing in the CRD stands for, and why."""
