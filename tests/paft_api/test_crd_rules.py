"""Each rule of the CRD refuses what its validator refuses, at the same place and in the same words."""

import re
from pathlib import Path
from typing import Any

import pytest
from tests.paft_api.admission import Admission, Finding, findings_of_models
from tests.paft_api.changes import ABSENT, changed_job

from paft_api.crd.rules import NOT_IN_THE_SCHEMA, RULES
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
    "pairs for SFT": ("sft.SftSpec._formats_fit", {"sft.data.train[0].format": "preference"}),
    "pairs to evaluate SFT": ("sft.SftSpec._formats_fit", {"sft.data.eval[0].format": "preference"}),
    "chats for preference": ("preference.PreferenceSpec._formats_fit", {"preference.data.train[0].format": "messages"}),
    "chats to evaluate preference": (
        "preference.PreferenceSpec._formats_fit",
        {"preference.data.eval[0].format": "prompt-completion"},
    ),
    "one loss twice": (
        "preference.DpoSpec._types_once",
        {"preference.dpo.losses": [{"type": "ipo"}, {"type": "sigmoid"}, {"weight": 2.5}]},
    ),
    "a density for nothing": (
        "merge.MergeSpec._density_is_for_methods_that_keep_a_share",
        {"merge.method": "task_arithmetic", "merge.seed": ABSENT},
    ),
    "a seed for nothing": ("merge.MergeSpec._seed_is_for_methods_that_draw", {"merge.method": "ties"}),
    "no place between": (
        "merge.MergeSpec._slerp_weights_are_a_place_between",
        {
            "merge.method": "slerp",
            "merge.density": ABSENT,
            "merge.seed": ABSENT,
            "merge.weights": [{"sft": -0.5, "preference": 1.5}],
        },
    ),
    "weights without a sum": (
        "merge.MergeSpec._linear_weights_have_a_sum",
        {
            "merge.method": "linear",
            "merge.density": ABSENT,
            "merge.seed": ABSENT,
            "merge.weights": [{"sft": 1.5, "preference": -1.5}],
        },
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
    "a loss that is not there yet": ("model.Unavailable", {"preference.method": "orpo"}),
    "a penalty that is not there yet": ("model.Unavailable", {"sft.l1.mode": "subgradient"}),
    "packing is not there yet": ("model.Unavailable", {"preference.training.packing": True}),
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
        ({"preference.dpo.losses": []}, "spec.preference.dpo.losses"),
        (
            {"merge.method": "linear", "merge.density": ABSENT, "merge.seed": ABSENT, "merge.weights": []},
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
        {"merge.method": "linear", "merge.density": ABSENT, "merge.seed": ABSENT},
        {"merge.method": "linear", "merge.density": ABSENT, "merge.seed": ABSENT, "merge.weights": ABSENT},
        {"preference.dpo": ABSENT, "sft.l1": ABSENT, "sft.data.eval": ABSENT, "sft.lora": ABSENT},
        {"sft.training": ABSENT, "sft.resources": ABSENT},
        {"sft.training": {"globalBatchSize": 12}, "sft.resources": {"gpusPerNode": 6}},
        {"sft.training": {"globalBatchSize": 5}, "sft.resources": {"gpusPerNode": 0, "processesPerNode": 5}},
        {"scheduling": {"admission": "PerArm"}},
        {"trainer.tolerations": [{"operator": "Exists"}]},
        {"base.uri": LONG_FOLDER[:-1] + "/"},
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
