"""Each rule of the CRD refuses what its validator refuses, at the same place and in the same words."""

import re
from pathlib import Path
from typing import Any

import pytest
from tests.paft_api.admission import Admission, Finding, findings_of_models
from tests.paft_api.changes import ABSENT, changed_job

from paft_api.crd.rules import NOT_IN_THE_SCHEMA, RULES
from paft_api.spec import MergeMethod, MergeOptions
from paft_api.spec.merge_methods import METHODS_WITH
from paft_api.spec.pod_template import CONTAINER_FIELDS, POD_FIELDS

Changes = dict[str, Any]
LONG_FOLDER = "s3://models/" + "a" * 1012
OTHER_TYPES = {
    "setHostnameAsFQDN": True,
    "activeDeadlineSeconds": 1,
    "terminationGracePeriodSeconds": 1,
    "command": ["sh"],
    "args": ["sft"],
    "restartPolicyRules": [{"action": "Restart"}],
}


def _container(fields: dict[str, Any]) -> dict[str, Any]:
    return {"spec": {"containers": [{"name": "trainer", **fields}]}}


MERGE_ALIASES = {name: field.alias for name, field in MergeOptions.model_fields.items()}
OPTION_VALUES: dict[str, object] = {
    "density": 0.25,
    "density_scope": "Model",
    "seed": 7,
    "rescale": "Norm",
    "election": "Weighted",
    "normalize": True,
    "gamma": 0.05,
    "epsilon": 0.25,
    "whole_weights": False,
    "balance": "Tensor",
}


def _only_options(options: dict[str, object]) -> Changes:
    """A merge with these options and no others."""
    names = ("method", "weights", "density", "seed", "rescale", "election", "normalize", "balance")
    return {f"merge.{name}": ABSENT for name in names} | {f"merge.{name}": value for name, value in options.items()}


def _other_format(source: str, format_: str) -> Changes:
    """Of a source that names columns, which belong to a format."""
    return {f"{source}.format": format_, f"{source}.columns": ABSENT}


CASES: dict[str, tuple[str, Changes]] = {
    "a batch that does not divide": ("arm.ArmSpec._global_batch_divides", {"sft.training.globalBatchSize": 60}),
    "a batch between two multiples": ("arm.ArmSpec._global_batch_divides", {"sft.training.globalBatchSize": 24}),
    "a batch that is too small": ("arm.ArmSpec._global_batch_divides", {"preference.training.globalBatchSize": 3}),
    "a batch by defaults": (
        "arm.ArmSpec._global_batch_divides",
        {"sft.training": {"microBatchSize": 3}, "sft.resources": {"gpusPerNode": 5}},
    ),
    "a batch on CPUs": (
        "arm.ArmSpec._global_batch_divides",
        {"sft.training.globalBatchSize": 1, "sft.resources": {"gpusPerNode": 0}},
    ),
    "early stopping without evaluations": (
        "arm.ArmSpec._early_stopping_has_rows",
        {"sft.data.eval": ABSENT, "sft.training.publish": "last"},
    ),
    "early stopping by defaults": (
        "arm.ArmSpec._early_stopping_has_rows",
        {"preference.data.eval": [], "preference.training": {"earlyStopping": {}, "globalBatchSize": 128}},
    ),
    "a best adapter without evaluations": (
        "arm.ArmSpec._best_has_rows",
        {"sft.data.eval": [], "sft.training.earlyStopping": ABSENT},
    ),
    "a best checkpoint that is let go": ("training.TrainingSpec._best_is_kept", {"sft.training.keep.best": 0}),
    "a best checkpoint by default that is let go": (
        "training.TrainingSpec._best_is_kept",
        {"preference.training.publish": ABSENT, "preference.training.keep.best": 0},
    ),
    "a strength and a target": ("sft.L1Spec._lambda_or_target", {"sft.l1.targetSparsity": 0.9}),
    "no strength in the loss": (
        "sft.L1Spec._subgradient_needs_lambda",
        {"sft.l1": {"mode": "subgradient"}},
    ),
    "a target in the loss": (
        "sft.L1Spec._subgradient_needs_lambda",
        {"sft.l1": {"mode": "subgradient", "targetSparsity": 0.9}},
    ),
    "rows in the loss": (
        "sft.L1Spec._rows_need_zeros",
        {"sft.l1.mode": "subgradient", "sft.l1.granularity": "rows"},
    ),
    "columns of another format": ("data.DataSource._columns_fit", {"sft.data.train[0].columns": {"text": "body"}}),
    "weights of evaluations": ("data.DataSpec._evaluation_has_no_weights", {"sft.data.eval[0].weight": 2}),
    "pairs for SFT": ("sft.SftSpec._formats_fit", _other_format("sft.data.train[0]", "preference")),
    "pairs to evaluate SFT": ("sft.SftSpec._formats_fit", _other_format("sft.data.eval[0]", "preference")),
    "chats for preference": (
        "preference.PreferenceSpec._formats_fit",
        _other_format("preference.data.train[0]", "messages"),
    ),
    "chats to evaluate preference": (
        "preference.PreferenceSpec._formats_fit",
        _other_format("preference.data.eval[0]", "prompt-completion"),
    ),
    "options of another method": (
        "preference.PreferenceSpec._options_are_the_methods",
        {"preference.method": "orpo"},
    ),
    "options of a method that is not the default": (
        "preference.PreferenceSpec._options_are_the_methods",
        {"preference.method": ABSENT, "preference.dpo": ABSENT, "preference.orpo": {"beta": 0.2}},
    ),
    "a loss that depends on its batch": ("model.Unavailable", {"preference.dpo": {"losses": [{}, {"type": "aot"}]}}),
    "another loss that depends on its batch": (
        "model.Unavailable",
        {"preference.dpo": {"losses": [{"type": "aot_unpaired"}]}},
    ),
    "smoothing for nothing": (
        "preference.DpoSpec._options_act",
        {"preference.dpo.losses[1].type": "ipo"},
    ),
    "a temperature for nothing": (
        "preference.DpoSpec._options_act",
        {"preference.dpo": {"discopopTau": 0.5}},
    ),
    "an alpha for nothing": (
        "preference.DpoSpec._options_act",
        {"preference.dpo.fDivergenceType": "js_divergence"},
    ),
    "an alpha for the default": (
        "preference.DpoSpec._options_act",
        {"preference.dpo.fDivergenceType": ABSENT},
    ),
    "exo without smoothing": (
        "preference.DpoSpec._exo_pair_is_smoothed",
        {"preference.dpo": {"losses": [{}, {"type": "exo_pair"}]}},
    ),
    "exo with a smoothing of nothing": (
        "preference.DpoSpec._exo_pair_is_smoothed",
        {"preference.dpo": {"losses": [{"type": "exo_pair"}], "labelSmoothing": 0}},
    ),
    "a divergence of a loss of single rewards": (
        "preference.DpoSpec._divergence_fits",
        {"preference.dpo": {"losses": [{}, {"type": "nca_pair"}], "fDivergenceType": "forward_kl"}},
    ),
    "one loss twice": (
        "preference.DpoSpec._types_once",
        {"preference.dpo": {"losses": [{"type": "ipo"}, {"type": "sigmoid"}, {"weight": 2.5}]}},
    ),
    **{
        f"{field} for nothing": (
            "merge_options.MergeOptions._options_act",
            _only_options({"method": min(set(MergeMethod) - methods), MERGE_ALIASES[field]: OPTION_VALUES[field]}),
        )
        for field, methods in METHODS_WITH.items()
    },
    "an option for nothing in a candidate": (
        "merge_options.MergeOptions._options_act",
        {"merge.candidates[1].epsilon": 0.25},
    ),
    "an option for nothing with the default method": (
        "merge_options.MergeOptions._options_act",
        _only_options({"seed": 1}),
    ),
    "weights of a method with its own": (
        "merge_options.MergeOptions._weights_act",
        _only_options({"method": "sce", "weights": [{"sft": 0.5}]}),
    ),
    "weights of a candidate with its own": (
        "merge_options.MergeOptions._weights_act",
        {"merge.candidates[1]": {"name": "stock", "method": "model_stock", "weights": [{}, {"layers": {}}]}},
    ),
    "weights that do not begin everywhere": (
        "merge_options.MergeOptions._first_weights_hold_everywhere",
        {"merge.weights": [{"modules": "*.mlp.*"}, {}]},
    ),
    "weights of a candidate that begin in layers": (
        "merge_options.MergeOptions._first_weights_hold_everywhere",
        {"merge.candidates[0].weights": [{"layers": {"last": 3}}]},
    ),
    "an epsilon below 0": (
        "merge_options.MergeOptions._epsilon_has_room",
        _only_options({"method": "della", "density": 0.25, "epsilon": 0.3}),
    ),
    "an epsilon above 1": ("merge_options.MergeOptions._epsilon_has_room", {"merge.candidates[0].density": 0.85}),
    "an epsilon around the default": (
        "merge_options.MergeOptions._epsilon_has_room",
        {"merge.candidates[0]": {"name": "steep", "method": "della", "density": 0.45, "epsilon": 0.475}},
    ),
    "no place between": (
        "merge_options.MergeOptions._slerp_weights_are_a_place_between",
        _only_options({"method": "slerp", "weights": [{}, {"sft": -0.5, "preference": 1.5}]}),
    ),
    "no place between at an anchor": (
        "merge_options.MergeOptions._slerp_weights_are_a_place_between",
        _only_options({"method": "slerp", "weights": [{"gradient": [{}, {"sft": 0, "preference": 0}]}]}),
    ),
    "weights without a sum": (
        "merge_options.MergeOptions._linear_weights_have_a_sum",
        _only_options({"method": "linear", "weights": [{"sft": 1.5, "preference": -1.5}]}),
    ),
    "a sum that changes its sign": (
        "merge_options.MergeOptions._linear_weights_have_a_sum",
        _only_options({"method": "linear", "weights": [{}, {"gradient": [{}, {"sft": -1, "preference": -1}]}]}),
    ),
    "layers in disorder": (
        "merge_weights.LayerRange._is_in_order",
        {"merge.weights[1].layers": {"first": 3, "last": 2}},
    ),
    "layers in disorder in a candidate": (
        "merge_weights.LayerRange._is_in_order",
        {"merge.candidates[0].weights[1].layers": {"first": 9, "last": 0}},
    ),
    "weights beside a gradient": ("merge_weights.ArmWeights._gradient_or_numbers", {"merge.weights[1].sft": 0.5}),
    "a rank of a checkpoint": ("merge.MergeOutput._rank_is_an_adapters", {"merge.output.rank": 8}),
    "a rank of a recipe": (
        "merge.MergeOutput._rank_is_an_adapters",
        {"merge.output.rank": 8, "merge.output.form": "Recipe", "merge.candidates": ABSENT},
    ),
    "one candidate twice": (
        "merge.MergeSpec._candidates_have_names_of_their_own",
        {"merge.candidates[2].name": "clipped"},
    ),
    "an adapter of whole weights": (
        "merge.MergeSpec._adapters_hold_deltas",
        _only_options({"method": "slerp", "wholeWeights": True})
        | {"merge.output.form": "Adapter", "merge.candidates": ABSENT},
    ),
    "an adapter of whole weights by the preset": (
        "merge.MergeSpec._adapters_hold_deltas",
        _only_options({"method": "slerp", "preset": "mergekit"})
        | {"merge.output.form": "Adapter", "merge.candidates": ABSENT},
    ),
    "candidates of an adapter": ("merge.MergeSpec._candidates_are_checkpoints", {"merge.output.form": "Adapter"}),
    "a cache that leads upwards": (
        "base_cache._require_no_parents",
        {"base.cache.hostPath.path": "/mnt/../etc"},
    ),
    "a cache in two places": (
        "base_cache.BaseCacheSpec._exactly_one_place",
        {"base.cache.emptyDir": {}},
    ),
    "a cache in no place": ("base_cache.BaseCacheSpec._exactly_one_place", {"base.cache.hostPath": ABSENT}),
    "a base for everybody with a secret": (
        "storage.SourceAccess._anonymous_has_no_secret",
        {"base.anonymous": True},
    ),
    "rows for everybody with a secret": (
        "storage.SourceAccess._anonymous_has_no_secret",
        {"preference.data.train[0].anonymous": True},
    ),
    "a bundle without a certificate": ("storage._require_certificates", {"storage.caBundle": "MIIB"}),
    "a bundle with a key": (
        "storage._require_certificates",
        {"storage.caBundle": "-----BEGIN CERTIFICATE-----\n-----BEGIN PRIVATE KEY-----"},
    ),
    "output in base": ("job.PaftJobSpec._output_is_apart", {"merge.output.uri": "s3://models/base/fused"}),
    "base in output": ("job.PaftJobSpec._output_is_apart", {"merge.output.uri": "s3://models"}),
    "output in artifacts": ("job.PaftJobSpec._output_is_apart", {"merge.output.uri": "s3://paft/artifacts"}),
    "both arms at once without a queue": (
        "scheduling.SchedulingSpec._atomic_needs_a_queue",
        {"scheduling.queueName": ABSENT},
    ),
    "both arms at once in two Jobs": (
        "scheduling.SchedulingSpec._atomic_needs_job_sets",
        {"scheduling.backend": "jobs"},
    ),
    "a value for nothing": ("trainer.Toleration._exists_has_no_value", {"trainer.tolerations[0].operator": "Exists"}),
    "a key is missing": ("trainer.Toleration._exists_has_no_value", {"trainer.tolerations[0].key": ABSENT}),
    "a variable of the rendezvous": ("trainer._require_no_rendezvous", {"trainer.env[0].name": "MASTER_ADDR"}),
    "a label of ours": ("trainer._require_free", {"trainer.podLabels": {"team": "a", "paft.dev/stage": "b"}}),
    "an annotation of the Job's": ("trainer._require_free", {"trainer.podAnnotations": {"job-name": "b"}}),
    "a folder that a slash makes too long": ("model.end_with_slash", {"base.uri": LONG_FOLDER}),
    "an adapter that changes the base": ("model.Unavailable", {"sft.lora.initLoraWeights": "pissa"}),
    "an adapter that is no product": ("model.Unavailable", {"preference.lora.useDora": True}),
    "a schedule that follows losses": ("model.Unavailable", {"sft.training.lrScheduler": "greedy"}),
    "a volume of the stage": (
        "pod_template.require_no_conflict",
        {"trainer.podTemplate": {"spec": {"volumes": [{"name": "run-spec", "emptyDir": {}}]}}},
    ),
    "a label of ours in the template": (
        "pod_template.require_no_conflict",
        {"trainer.podTemplate": {"metadata": {"labels": {"paft.dev/stage": "sft"}}}},
    ),
    **{
        f"pod field {field}": (
            "pod_template.require_no_conflict",
            {"trainer.podTemplate": {"spec": {field: OTHER_TYPES.get(field, "x")}}},
        )
        for field in POD_FIELDS
    },
    **{
        f"container field {field}": (
            "pod_template.require_no_conflict",
            {
                "trainer.podTemplate": {
                    "spec": {"containers": [{"name": "trainer", field: OTHER_TYPES.get(field, "x")}]}
                }
            },
        )
        for field in CONTAINER_FIELDS
    },
}
"""The validator that refuses a change of the complete job, and the change."""

IN_OTHER_WORDS: dict[str, tuple[str, str, Changes]] = {
    "a mount over directories of the stage": (
        "spec.trainer.podTemplate.spec.containers[0].volumeMounts",
        "mountPath /dev/ would hide a directory of the stage; mount the volume elsewhere",
        {"volumeMounts": [{"name": "x", "mountPath": "/data"}, {"name": "x", "mountPath": "/dev/"}]},
    ),
    "a variable of the rendezvous in the template": (
        "spec.trainer.podTemplate.spec.containers[0].env",
        "JOB_COMPLETION_INDEX, MASTER_ADDR, MASTER_PORT are set by the operator; remove them",
        {"env": [{"name": "X", "value": "y"}, {"name": "MASTER_PORT", "value": "1"}]},
    ),
}
"""Place and message at the API server, and the fields of the container `trainer` that both refuse."""


@pytest.mark.parametrize("case", CASES)
def test_both_refuse_it_at_one_place_in_the_same_words(case: str, admission: Admission, tmp_path: Path) -> None:
    document = changed_job(CASES[case][1])

    ours = findings_of_models(document, tmp_path)
    theirs = admission.check(document).findings

    assert len(ours) == 1
    assert [_in_one_line(finding) for finding in theirs] == [_in_one_line(_without_key(finding)) for finding in ours]


@pytest.mark.parametrize("case", IN_OTHER_WORDS)
def test_both_refuse_it(case: str, admission: Admission, tmp_path: Path) -> None:
    field, message, container = IN_OTHER_WORDS[case]
    document = changed_job({"trainer.podTemplate": _container(container)})

    assert len(findings_of_models(document, tmp_path)) == 1
    assert admission.check(document).findings == (Finding(field, message),)


def test_other_containers_may_have_what_the_stage_s_own_may_not(admission: Admission, tmp_path: Path) -> None:
    container = {
        "name": "proxy",
        "command": ["sh"],
        "env": [{"name": "MASTER_PORT", "value": "1"}],
        "volumeMounts": [{"name": "scratch", "mountPath": "/dev"}],
    }
    document = changed_job({"trainer.podTemplate": {"spec": {"containers": [container]}}})

    assert findings_of_models(document, tmp_path) == []
    assert admission.check(document).stored is not None


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"sft.training.microBatchSize": 0}, "spec.sft.training.microBatchSize"),
        ({"sft.resources.nodes": 2**62}, "spec.sft.resources.nodes"),
        ({"sft.data.train": []}, "spec.sft.data.train"),
        ({"preference.dpo": {"losses": []}}, "spec.preference.dpo.losses"),
        (
            _only_options({"method": "linear", "weights": []}),
            "spec.merge.weights",
        ),
    ],
)
def test_rules_do_not_stumble_over_what_is_out_of_bounds(changes: Changes, field: str, admission: Admission) -> None:
    findings = admission.check(changed_job(changes)).findings

    assert [finding.field for finding in findings] == [field]
    assert "evaluating rule" not in findings[0].message


def test_every_validator_has_a_case_or_a_reason() -> None:
    covered = {name for name, _ in CASES.values()}

    assert covered - {"model.Unavailable", "pod_template.require_no_conflict"} == set(RULES)
    assert covered.isdisjoint(NOT_IN_THE_SCHEMA)
    assert all(NOT_IN_THE_SCHEMA.values())


@pytest.mark.parametrize(
    "changes",
    [
        {},
        _only_options({}),
        _only_options({"method": "linear"}),
        _only_options({"method": "linear", "weights": [{"sft": -1, "preference": 0.5}]}),
        _only_options({"method": "linear", "weights": [{"gradient": [{"sft": -2}, {"sft": -3}]}]}),
        _only_options({"method": "task_arithmetic", "weights": [{"sft": 1, "preference": -1}]}),
        _only_options({"method": "slerp", "weights": [{"sft": 0}, {"layers": {"first": 3, "last": 3}}]}),
        _only_options({"method": "sce", "density": 0.5, "weights": [{"sft": 1, "preference": 1}]}),
        _only_options({"method": "model_stock"}),
        _only_options({"method": "sft_only", "lambda": 0.5}),
        _only_options({"method": "della", "epsilon": 0.5}),
        _only_options({"method": "della", "density": 0.25, "epsilon": 0.25}),
        _only_options({"method": "della", "preset": "mergekit", "density": 1, "epsilon": 0}),
        {"merge.output.form": "Adapter", "merge.output.rank": 8, "merge.candidates": []},
        _only_options({"method": "slerp", "preset": "mergekit", "wholeWeights": False})
        | {"merge.output.form": "Adapter", "merge.candidates": []},
        {"merge.output.form": ABSENT},
        {"merge.weights": [{}] * 32, "merge.candidates": [{"name": f"c-{n}"} for n in range(16)]},
        {"preference.dpo": ABSENT, "sft.l1": ABSENT, "sft.data.eval": ABSENT, "sft.lora": ABSENT}
        | {"sft.training.earlyStopping": ABSENT, "sft.training.publish": ABSENT},
        {"sft.training.publish": "last", "sft.training.keep.best": 0},
        {"sft.training": ABSENT, "sft.resources": ABSENT},
        {"sft.training": {"globalBatchSize": 12}, "sft.resources": {"gpusPerNode": 6}},
        {"sft.training": {"globalBatchSize": 5}, "sft.resources": {"gpusPerNode": 0, "processesPerNode": 5}},
        {"sft.l1": {"mode": "subgradient", "lambda": 0}},
        {"sft.l1": {"targetSparsity": 0.9, "granularity": "rows"}},
        {"sft.l1": {"granularity": "rows"}},
        {"sft.l1": {"mode": "none", "granularity": "rows", "targetSparsity": 0.5}},
        {"scheduling": {"admission": "PerArm"}},
        {"trainer.tolerations": [{"operator": "Exists"}]},
        {"base.uri": LONG_FOLDER[:-1] + "/"},
        {"base.cache": {"persistentVolumeClaim": {"claimName": "bases.v1"}}},
        {"base.cache": {"emptyDir": {}}},
        {"base.cache": {"hostPath": {"path": "/mnt/..paft/a..b/"}}},
        {"base.anonymous": True, "base.secretRef": ABSENT},
        {"merge.output.uri": "s3://models/basement"},
        {"sft.resources.cpu": 8, "sft.resources.extra": {"rdma/hca": 1}},
    ],
)
def test_both_admit_what_is_valid(changes: Changes, admission: Admission, tmp_path: Path) -> None:
    document = changed_job(changes)

    assert findings_of_models(document, tmp_path) == []
    assert admission.check(document).stored is not None


def _without_key(finding: Finding) -> Finding:
    """A model's finding about a key of a map names the key twice: in the path, and in the message."""
    key = finding.message.partition(" ")[0]
    return finding._replace(field=finding.field.removesuffix(f".{key}"))


def _in_one_line(finding: Finding) -> str:
    """Where a path ends and the message begins is not the same for the models and for rules on lists."""
    return re.sub(r"[ .]", " ", f"{finding.field} {finding.message}")
