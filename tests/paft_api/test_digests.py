"""What is part of a stage's identity. A new field of the spec has to be put into one of the tables here."""

import json
import re
from typing import Any

import pytest
from tests.paft_api.changes import ALLOWED_BY, changed_job
from tests.paft_api.complete_job import complete_document, complete_job
from tests.paft_api.schemas import leaf_paths

from paft_api.digests import (
    data_digest,
    digest_of,
    file_set_digest,
    merge_stage_digest,
    preference_digest,
    recipe_digest,
    sft_digest,
)
from paft_api.spec import DataFormat, DataSource, DpoSpec, L1Spec, MergeOptions, MergeSpec, PaftJobSpec

BASE = "sha256:" + "1" * 64
ADAPTERS = {"sft_adapter": "sha256:" + "2" * 64, "preference_adapter": "sha256:" + "3" * 64}
ARMS = ("sft", "preference")

_ARM_MATHEMATICS: dict[str, object] = {
    "lora.r": 4,
    "lora.alpha": 8,
    "lora.dropout": 0.1,
    "lora.targetModules": ["k_proj"],
    "lora.targetModulesPattern": ".*k_proj",
    "lora.excludeModules": ["v_proj"],
    "lora.layersToTransform": [1],
    "lora.layersPattern": ["h"],
    "lora.rankPattern": {"q_proj": 2},
    "lora.alphaPattern": {"q_proj": 4},
    "lora.rslora": True,
    "lora.loraplusLrRatio": 4,
    "lora.modulesToSave": ["lm_head"],
    "lora.initLoraWeights": "orthogonal",
    "training.epochs": 3,
    "training.maxSteps": 600,
    "training.learningRate": 0.0002,
    "training.globalBatchSize": 128,
    "training.maxLength": 512,
    "training.lrScheduler": "cosine",
    "training.lrSchedulerKwargs": {"num_cycles": 2},
    "training.optimizer": "adamw",
    "training.adamBeta1": 0.8,
    "training.adamBeta2": 0.98,
    "training.adamEpsilon": 1e-7,
    "training.warmupRatio": 0.2,
    "training.weightDecay": 0.02,
    "training.maxGradNorm": 1.0,
    "training.precision": "fp32",
    "training.seed": 2,
    "training.evalSteps": 50,
    "training.earlyStopping.patience": 4,
    "training.earlyStopping.minDelta": 0.0,
    "training.publish": "last",
    "training.deepspeed": {"steps_per_print": 20},
}
_WEIGHTS: dict[str, object] = {
    "weights[0].sft": 0.5,
    "weights[0].preference": 0.5,
    "weights[1].modules": "*.self_attn.*",
    "weights[1].layers.first": 1,
    "weights[1].layers.last": 8,
    "weights[1].gradient[0].sft": 0.5,
    "weights[1].gradient[0].preference": 0.5,
}
_MERGE_MATHEMATICS: dict[str, object] = {
    **_WEIGHTS,
    "method": "task_arithmetic",
    "preset": "mergekit",
    "density": 0.4,
    "densityScope": "Model",
    "seed": 4,
    "rescale": "None",
    "election": "Weighted",
    "normalize": True,
    "gamma": 0.02,
    "epsilon": 0.2,
    "wholeWeights": True,
    "balance": "Model",
    "lambda": 0.9,
}
_CANDIDATE_MATHEMATICS: dict[str, object] = {
    **_WEIGHTS,
    "name": "other",
    "method": "task_arithmetic",
    "preset": "paft",
    "density": 0.3,
    "seed": 4,
    "rescale": "Norm",
    "election": "Unweighted",
    "normalize": False,
    "epsilon": 0.1,
    "balance": "Tensor",
    "lambda": 0.8,
}
CHANGES: dict[str, tuple[object, set[str]]] = {
    "base.chatTemplate": ("{{ other }}", {"sft", "preference", "merge"}),
    "sft.data.train[0].format": ("prompt-completion", {"sft"}),
    **{f"{arm}.data.train[0].weight": (2.0, {arm}) for arm in ARMS},
    "sft.data.train[0].columns": ({"messages": "turns"}, {"sft"}),
    "preference.data.train[0].columns": ({"chosen": "better"}, {"preference"}),
    "sft.training.neftuneNoiseAlpha": (15, {"sft"}),
    "sft.training.assistantOnlyLoss": (False, {"sft"}),
    "sft.training.assistantMask": ("generation", {"sft"}),
    "sft.training.completionOnlyLoss": (False, {"sft"}),
    "sft.l1.mode": ("none", {"sft"}),
    "sft.l1.lambda": (0.002, {"sft"}),
    "sft.l1.targetSparsity": (0.9, {"sft"}),
    "sft.l1.granularity": ("rows", {"sft"}),
    "sft.l1.rampFraction": (0.3, {"sft"}),
    "preference.method": ("orpo", {"preference"}),
    "preference.orpo.beta": (0.3, {"preference"}),
    "preference.dpo.beta": (0.3, {"preference"}),
    "preference.dpo.losses[0].type": ("ipo", {"preference"}),
    "preference.dpo.losses[0].weight": (0.7, {"preference"}),
    "preference.dpo.labelSmoothing": (0.2, {"preference"}),
    "preference.dpo.fDivergenceType": ("js_divergence", {"preference"}),
    "preference.dpo.fAlphaDivergenceCoef": (0.75, {"preference"}),
    "preference.dpo.discopopTau": (0.25, {"preference"}),
    **{f"{arm}.{path}": (value, {arm}) for arm in ARMS for path, value in _ARM_MATHEMATICS.items()},
    **{f"merge.{path}": (value, {"merge"}) for path, value in _MERGE_MATHEMATICS.items()},
    **{f"merge.candidates[0].{path}": (value, {"merge"}) for path, value in _CANDIDATE_MATHEMATICS.items()},
    "merge.candidates[1].densityScope": ("Tensor", {"merge"}),
    "merge.candidates[1].gamma": (0.03, {"merge"}),
    "merge.candidates[2].wholeWeights": (False, {"merge"}),
    "merge.output.form": ("Recipe", {"merge"}),
    "merge.output.rank": (8, {"merge"}),
    "merge.output.maxShardSize": ("1GB", {"merge"}),
}
"""Another value for each field that is part of the identity, and the stages it is part of."""

_ACCESS: dict[str, object] = {
    "secretRef.name": "other",
    "endpoint": "http://127.0.0.1:1",
    "region": "us-east-1",
    "anonymous": True,
}
_ARM_REST: dict[str, object] = {
    "data.train[0].uri": "s3://elsewhere/rows/",
    "data.eval[0].uri": "s3://elsewhere/rows.jsonl",
    **{f"data.{rows}[0].{path}": value for rows in ("train", "eval") for path, value in _ACCESS.items()},
    # What rows a type and a split give is known by the files, whose content and type are in the digest of the data.
    **{f"data.{rows}[0].fileType": "csv" for rows in ("train", "eval")},
    **{f"data.{rows}[0].split": "other" for rows in ("train", "eval")},
    "data.eval[0].columns": {},
    "data.maxBadRows": 7,
    "training.microBatchSize": 4,
    "training.packing": False,
    "training.gradientCheckpointing": True,
    "training.offloadOptimizer": "none",
    "training.offloadParam": "cpu",
    "training.useLigerKernel": True,
    "training.torchCompile": True,
    "training.saveSteps": 50,
    "training.saveSeconds": 600,
    "training.hangTimeout": 60,
    "training.keep.last": 1,
    "training.keep.best": 1,
    "resources.nodes": 1,
    "resources.gpusPerNode": 8,
    "resources.gpuResourceName": "nvidia.com/gpu",
    "resources.processesPerNode": 8,
    "resources.cpu": "8",
    "resources.memory": "1Gi",
    "resources.sharedMemory": "1Gi",
    "resources.extra": {},
}
KEEPS: dict[str, object] = {
    "base.uri": "s3://elsewhere/base/",
    **{f"base.{path}": value for path, value in _ACCESS.items()},
    "base.cache.hostPath.path": "/elsewhere",
    "base.cache.persistentVolumeClaim.claimName": "other",
    "base.cache.emptyDir.sizeLimit": "1Gi",
    "base.cache.maxSize": "1Gi",
    "storage.artifactsUri": "s3://elsewhere/artifacts/",
    "storage.endpoint": "http://127.0.0.1:1",
    "storage.region": "us-east-1",
    "storage.secretRef.name": "other",
    "storage.caBundle": "-----BEGIN CERTIFICATE-----",
    "storage.addressingStyle": "virtual",
    "storage.checksums": "when_required",
    "storage.retryWindow": 1,
    "storage.allowUnconditionalPublish": True,
    "sft.data.eval[0].format": "prompt-completion",
    **{f"{arm}.{path}": value for arm in ARMS for path, value in _ARM_REST.items()},
    "merge.output.uri": "s3://elsewhere/fused/",
    "merge.resources.cpu": "1",
    "merge.resources.memory": "1Gi",
    "merge.resources.extra": {},
    "tracking.wandb.project": "other",
    "tracking.wandb.entity": "other",
    "tracking.wandb.mode": "online",
    "tracking.wandb.baseUrl": "http://127.0.0.1:1",
    "tracking.wandb.tags": [],
    "tracking.wandb.secretRef.name": "other",
    "tracking.mlflow.trackingUri": "http://127.0.0.1:1",
    "tracking.mlflow.experiment": "other",
    "tracking.mlflow.secretRef.name": "other",
    "trainer.image": "example.com/paft:2",
    "trainer.imagePullPolicy": "Always",
    "trainer.imagePullSecrets[0].name": "other",
    "trainer.serviceAccountName": "other",
    "trainer.nodeSelector": {},
    "trainer.tolerations[0].key": "other",
    "trainer.tolerations[0].operator": "Equal",
    "trainer.tolerations[0].value": "other",
    "trainer.tolerations[0].effect": "NoSchedule",
    "trainer.tolerations[0].tolerationSeconds": 1,
    "trainer.affinity": {},
    "trainer.runtimeClassName": "other",
    "trainer.podLabels": {},
    "trainer.podAnnotations": {},
    "trainer.env[0].name": "OTHER",
    "trainer.env[0].value": "other",
    "trainer.ipcLock": False,
    "trainer.terminationGracePeriodSeconds": 600,
    "trainer.prepareResources.cpu": "4",
    "trainer.prepareResources.memory": "8Gi",
    "trainer.prepareResources.extra": {},
    "trainer.podTemplate": {},
    "scheduling.backend": "auto",
    "scheduling.queueName": "other",
    "scheduling.priorityClassName": "other",
    "scheduling.admission": "PerArm",
    "runPolicy.suspend": False,
    "runPolicy.backoffLimit": 2,
    "runPolicy.activeDeadlineSeconds": 1,
    "runPolicy.pendingDeadlineSeconds": 1,
    "runPolicy.ttlSecondsAfterFinished": 1,
}
"""Another value for each field that changes where and how, but not what."""

ONE_VALUE: dict[str, object] = {
    "preference.data.train[0].format": "messages",
    "preference.data.eval[0].format": "messages",
    **{f"{arm}.data.eval[0].weight": 2.0 for arm in ARMS},
    "sft.lora.useDora": True,
    "preference.lora.useDora": True,
}
"""Fields that have one value in this version; another is refused. They are part of the identity."""


def test_every_field_is_in_exactly_one_table() -> None:
    named = [*CHANGES, *KEEPS, *ONE_VALUE]

    assert sorted(re.sub(r"\[\d\]", "[0]", path) for path in named) == sorted(leaf_paths(PaftJobSpec))


@pytest.mark.parametrize("path", CHANGES)
def test_what_changes_the_mathematics_changes_exactly_its_stages(path: str) -> None:
    value, stages = CHANGES[path]

    assert _stages_changed_by(path, value) == stages


def test_what_does_not_change_the_mathematics_changes_no_digest() -> None:
    changed = {path: stages for path, value in KEEPS.items() if (stages := _stages_changed_by(path, value))}

    assert changed == {}


@pytest.mark.parametrize("path", ONE_VALUE)
def test_other_values_of_fields_with_one_value_are_refused(path: str) -> None:
    with pytest.raises(ValueError, match="cannot be used in this arm|has no meaning|remove useDora"):
        _stages_changed_by(path, ONE_VALUE[path])


def test_writing_a_default_out_changes_no_digest() -> None:
    minimal = _minimal_document()
    written_out = PaftJobSpec.model_validate_json(json.dumps(minimal)).to_document()

    assert _digests(written_out) == _digests(minimal)


@pytest.mark.parametrize(
    ("sft", "digest"),
    [
        ({}, "sha256:97c9ba46caeeef69cbc3a6770b8b3da1706b016187bf086768b33729a7845c03"),
        (
            {
                "lora": {"r": 8, "targetModules": ["q_proj"], "rslora": True},
                "training": {"maxSteps": 5, "warmupRatio": 0.1},
            },
            "sha256:436c013b7516deaa968c8a42a2ed5b7ae4ebb26ea66b1dec5f92d25ec8e93b6d",
        ),
    ],
)
def test_jobs_keep_their_digests_when_fields_are_added(sft: dict[str, object], digest: str) -> None:
    """By which their adapters are found; these were worked out before LoRA+ and the like were there."""
    document = _minimal_document()
    rows = [{"uri": "s3://data/sft/", "format": "messages"}]
    document["sft"] = {"data": {"train": rows, "eval": rows}} | sft

    assert _digests(document)["sft"] == digest


def test_whole_numbers_and_decimals_are_the_same_number() -> None:
    whole, decimal = complete_document()["spec"], complete_document()["spec"]
    whole["sft"]["lora"]["alpha"] = 16
    decimal["sft"]["lora"]["alpha"] = 16.0

    assert _digests(whole) == _digests(decimal)


def test_the_penalty_s_strength_does_not_matter_where_there_is_none() -> None:
    weak, strong = complete_document()["spec"], complete_document()["spec"]
    weak["sft"]["l1"] = {"mode": "none", "lambda": 1e-5}
    strong["sft"]["l1"] = {"mode": "none", "lambda": 1e-3}

    assert _digests(weak) == _digests(strong)


@pytest.mark.parametrize(
    ("dpo", "acting"),
    [
        ({}, {}),
        ({"fDivergenceType": "reverse_kl"}, {}),
        ({"losses": [{"type": "robust"}]}, {"labelSmoothing": 0.0}),
        ({"losses": [{"type": "exo_pair"}], "labelSmoothing": 0.001}, {"labelSmoothing": 0.001}),
        ({"losses": [{"type": "discopop"}]}, {"discopopTau": 0.05}),
        ({"fDivergenceType": "js_divergence"}, {"fDivergenceType": "js_divergence"}),
        (
            {"fDivergenceType": "alpha_divergence"},
            {"fDivergenceType": "alpha_divergence", "fAlphaDivergenceCoef": 0.5},
        ),
    ],
)
def test_options_of_dpo_count_as_they_act(dpo: dict[str, object], acting: dict[str, object]) -> None:
    """Without them the digest is what it was before there were any."""
    losses = [{"type": "sigmoid", "weight": 1.0} | entry for entry in dpo.get("losses", [{}])]  # type: ignore[attr-defined]

    assert DpoSpec.model_validate_json(json.dumps(dpo)).resolved() == {"beta": 0.1, "losses": losses} | acting


def test_the_default_of_dpo_has_one_digest_however_it_is_written() -> None:
    document = complete_document()["spec"]
    digests = set()
    for written in (None, {}, {"beta": 0.1}, {"losses": [{"type": "sigmoid", "weight": 1.0}]}):
        document["preference"].pop("dpo", None)
        document["preference"] |= {"dpo": written} if written is not None else {}
        digests.add(_digests(document)["preference"])

    assert len(digests) == 1


def test_evaluations_that_decide_nothing_are_no_part_of_the_identity() -> None:
    spec = PaftJobSpec.model_validate_json(json.dumps(_minimal_document()))
    changed = _minimal_document()
    changed["sft"]["training"] = {"evalSteps": 7, "publish": "last", "keep": {"best": 0}}
    other = PaftJobSpec.model_validate_json(json.dumps(changed))

    digests = {
        sft_digest(block, base_digest=BASE, chat_template=None, data="aa", evaluation=rows)
        for block in (spec.sft, other.sft)
        for rows in (None, "bb", "cc")
    }
    assert len(digests) == 1


def test_early_stopping_publishes_the_best_unless_told_otherwise() -> None:
    def digest(**training: object) -> str:
        document = _minimal_document()
        document["sft"]["training"] = {"earlyStopping": {}} | training
        return _digests(document)["sft"]

    assert digest() == digest(publish="best") == digest(earlyStopping={"patience": 1}) != digest(publish="last")


@pytest.mark.parametrize(
    ("l1", "resolved"),
    [
        ({}, {"mode": "proximal", "lambda": 1e-4, "rampFraction": 0.1}),
        ({"lambda": 0.002, "granularity": "element"}, {"mode": "proximal", "lambda": 0.002, "rampFraction": 0.1}),
        (
            {"granularity": "rows"},
            {"mode": "proximal", "lambda": 1e-4, "rampFraction": 0.1, "granularity": "rows"},
        ),
        ({"targetSparsity": 0.9}, {"mode": "proximal", "targetSparsity": 0.9, "rampFraction": 0.5}),
        (
            {"mode": "subgradient", "lambda": 0.001},
            {"mode": "subgradient", "lambda": 0.001, "rampFraction": 0.0},
        ),
        ({"mode": "none", "targetSparsity": 0.9, "granularity": "rows"}, {"mode": "none"}),
    ],
)
def test_the_penalty_counts_as_it_acts(l1: dict[str, object], resolved: dict[str, object]) -> None:
    assert L1Spec.model_validate_json(json.dumps(l1)).resolved() == resolved


@pytest.mark.parametrize(
    "written",
    [
        {},
        {"mode": "proximal", "lambda": 1e-4, "rampFraction": 0.1},
        {"mode": "proximal", "lambda": 1e-4, "granularity": "element", "rampFraction": 0.1},
    ],
)
def test_the_default_penalty_has_one_digest_however_it_is_written(written: dict[str, object]) -> None:
    document = complete_document()["spec"]
    del document["sft"]["l1"]
    default = _digests(document)["sft"]

    document["sft"]["l1"] = written

    assert _digests(document)["sft"] == default


def test_every_input_digest_matters() -> None:
    job = complete_job()
    arms = [
        sft_digest(job.spec.sft, base_digest=base, chat_template=None, data=data, evaluation=evaluation)
        for base in ("a", "b")
        for data in ("c", "d")
        for evaluation in ("e", "f")
    ]
    inputs = [
        {"base_digest": base, "sft_adapter": sft, "preference_adapter": preference}
        for base in ("a", "b")
        for sft in ("c", "d")
        for preference in ("c", "d")
    ]
    recipes = [recipe_digest(job.spec.merge, job.spec.merge.output, **digests) for digests in inputs]
    merges = [merge_stage_digest(job.spec.merge, **digests) for digests in inputs]

    assert len({*arms, *recipes, *merges}) == len(arms) + len(recipes) + len(merges)


def test_a_merge_keeps_its_recipe_whatever_its_candidates_are() -> None:
    merge = complete_job().spec.merge
    alone = merge.model_copy(update={"candidates": ()})
    digests = {"base_digest": BASE, **ADAPTERS}

    assert recipe_digest(alone, alone.output, **digests) == recipe_digest(merge, merge.output, **digests)
    assert merge_stage_digest(alone, **digests) == recipe_digest(alone, alone.output, **digests)
    assert merge_stage_digest(merge, **digests) != merge_stage_digest(alone, **digests)


def test_a_candidate_has_the_recipe_of_a_merge_with_its_options() -> None:
    merge = complete_job().spec.merge
    clipped = merge.candidates[1]
    options = clipped.to_document()
    del options["name"]
    alone = MergeSpec.model_validate_json(json.dumps({**options, "output": {"uri": "s3://models/other/"}}))
    output = merge.output.model_copy(update={"uri": alone.output.uri, "max_shard_size": alone.output.max_shard_size})
    digests = {"base_digest": BASE, **ADAPTERS}

    assert recipe_digest(clipped, output, **digests) == recipe_digest(alone, alone.output, **digests)


def test_the_order_of_candidates_does_not_matter() -> None:
    merge = complete_job().spec.merge
    reversed_ = merge.model_copy(update={"candidates": merge.candidates[::-1]})

    assert merge_stage_digest(reversed_, base_digest=BASE, **ADAPTERS) == merge_stage_digest(
        merge, base_digest=BASE, **ADAPTERS
    )


@pytest.mark.parametrize(
    ("options", "defaults"),
    [
        ({"method": "ties"}, {"density": 0.5, "densityScope": "Tensor", "election": "Weighted", "normalize": True}),
        ({"method": "dare_ties"}, {"density": 0.5, "seed": 0, "rescale": "Density", "normalize": True}),
        ({"method": "dare_ties", "preset": "mergekit"}, {"density": 1.0, "rescale": "Norm", "normalize": False}),
        ({"method": "della", "density": 0.95}, {"epsilon": 1 - 0.95}),
        ({"method": "breadcrumbs"}, {"gamma": 0.01, "balance": "None"}),
        ({"method": "slerp", "preset": "mergekit"}, {"wholeWeights": True}),
    ],
)
def test_options_have_their_defaults_in_a_recipe(options: dict[str, object], defaults: dict[str, object]) -> None:
    output = complete_job().spec.merge.output

    def digest(document: dict[str, object]) -> str:
        merge = MergeOptions.model_validate_json(json.dumps(document))
        return recipe_digest(merge, output, base_digest=BASE, **ADAPTERS)

    assert digest(options | defaults) == digest(options)


def test_arms_and_merge_never_share_a_digest() -> None:
    digests = _digests(complete_document()["spec"])

    assert len(set(digests.values())) == len(digests)


def test_data_are_known_by_content_and_order_not_by_name() -> None:
    here = DataSource(uri="s3://here/rows/", format=DataFormat.MESSAGES)
    there = DataSource(uri="s3://there/more/", format=DataFormat.MESSAGES)
    files = [("1.jsonl", "aa"), ("2.jsonl", "bb")]

    digest = data_digest([(here, files)])

    assert data_digest([(there, [("x.jsonl", "aa"), ("y.jsonl", "bb")])]) == digest
    assert data_digest([(here, files[::-1])]) != digest
    assert data_digest([(here, files[:1])]) != digest


def test_digests_do_not_depend_on_the_order_of_keys() -> None:
    assert digest_of({"a": 1, "b": 2}) == digest_of({"b": 2, "a": 1})
    assert file_set_digest({"a": "1", "b": "2"}) != file_set_digest({"a": "2", "b": "1"})
    assert re.fullmatch(r"sha256:[0-9a-f]{64}", digest_of([]))


def _stages_changed_by(path: str, value: object) -> set[str]:
    allowed_by = ALLOWED_BY.get(path, {})
    documents = [changed_job(changes)["spec"] for changes in (allowed_by, allowed_by | {path: value})]
    assert documents[0] != documents[1] or path.endswith("operator"), f"{path} has this value already"
    before, after = (_digests(document) for document in documents)
    return {stage for stage in before if before[stage] != after[stage]}


def _digests(document: dict[str, Any]) -> dict[str, str]:
    spec = PaftJobSpec.model_validate_json(json.dumps(document))
    template = spec.base.chat_template
    digests = {}
    for arm, digest in (("sft", sft_digest), ("preference", preference_digest)):
        block = getattr(spec, arm)
        data = data_digest([(source, [("rows.jsonl", "aa")]) for source in block.data.train])
        digests[arm] = digest(block, base_digest=BASE, chat_template=template, data=data, evaluation="bb")
    merge = merge_stage_digest(spec.merge, base_digest=BASE, chat_template=template, **ADAPTERS)
    return digests | {"merge": merge}


def _minimal_document() -> dict[str, Any]:
    document = complete_document()["spec"]
    return {
        "base": {"uri": document["base"]["uri"]},
        "storage": {"artifactsUri": document["storage"]["artifactsUri"]},
        "sft": {"data": document["sft"]["data"]},
        "preference": {"data": document["preference"]["data"]},
        "merge": {"output": {"uri": document["merge"]["output"]["uri"]}},
    }
