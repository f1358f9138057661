"""What prepare finds wrong: each thing by field and in words, and all of it in one run."""

import importlib.util
import json
import shutil
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from tests.paft_trainer.prepare.jobs import TRAINING, findings_of, prepare_run_spec, run_prepare
from tests.run_specs import write_sums
from tests.tiny_models import build_checkpoint
from transformers import GPT2Config, GPT2LMHeadModel

from paft_api.causes import Cause
from paft_api.run_spec import RunSpec
from paft_api.spec.storage import StorageSpec
from paft_trainer.errors import StageError
from paft_trainer.prepare import PreparationFailed


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("findings")
    build_checkpoint(root / "base")
    write_sums(root)
    GPT2LMHeadModel(
        GPT2Config(vocab_size=259, n_embd=32, n_layer=1, n_head=2, bos_token_id=256, eos_token_id=257)
    ).save_pretrained(root / "gpt2")
    return root


@pytest.fixture
def root(good: Path, tmp_path: Path) -> Path:
    """A copy to spoil."""
    return shutil.copytree(good, tmp_path / "root")


def local(root: Path) -> dict[str, Any]:
    return {"artifactsUri": f"file://{root}/artifacts/"}


def write(name: str, text: str) -> Callable[[Path], object]:
    return lambda root: (root / name).write_text(text)


def remove(name: str) -> Callable[[Path], object]:
    return lambda root: (root / name).unlink()


def set_in_config(**values: Any) -> Callable[[Path], object]:
    def change(root: Path) -> None:
        path = root / "base" / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | values))

    return change


def pickle(root: Path) -> None:
    (root / "base" / "model.safetensors").rename(root / "base" / "pytorch_model.bin")


def take_gpt2(root: Path) -> None:
    shutil.copytree(root / "gpt2", root / "base", dirs_exist_ok=True)


def take_byt5(root: Path) -> None:
    (root / "base" / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "ByT5Tokenizer"}))


WRONG_BASES = {
    "no folder": (shutil.rmtree, "{base} is empty or does not exist"),
    "no config": (remove("base/config.json"), "{base} has no config.json"),
    "no weights": (
        remove("base/model.safetensors"),
        "{base} has neither model.safetensors nor model.safetensors.index.json",
    ),
    "pickled": (
        pickle,
        "{base} has pickled weights only (pytorch_model.bin); unpickling runs code of the file",
    ),
    "no tokenizer": (
        remove("base/tokenizer.json"),
        "{base} has no tokenizer (tokenizer.json, tokenizer.model, vocab.json, spiece.model)",
    ),
    "index of another kind": (
        write("base/model.safetensors.index.json", '{"weight_map": ["model.safetensors"]}'),
        "{base}model.safetensors.index.json is no index of weights: it needs a weight_map of tensors to files",
    ),
    "shard missing": (
        write("base/model.safetensors.index.json", '{"weight_map": {"x": "model-2.safetensors"}}'),
        "{base}model.safetensors.index.json names model-2.safetensors, which is not there",
    ),
    "shard elsewhere": (
        write("base/model.safetensors.index.json", '{"weight_map": {"x": "../model.safetensors"}}'),
        "{base}model.safetensors.index.json names '../model.safetensors', which is no safetensors file of this folder",
    ),
    "torn config": (
        write("base/config.json", '{"model_type"'),
        "{base}config.json is no JSON: Expecting ':' delimiter: line 1 column 14 (char 13)",
    ),
    "wrong field": (
        set_in_config(num_attention_heads="four"),
        "{base}: transformers cannot build this model: StrictDataclassFieldValidationError: Validation error for field "
        "'num_attention_heads': TypeError: Field 'num_attention_heads' expected int, got str (value: 'four')",
    ),
    "torn tokenizer": (
        write("base/tokenizer.json", "{}"),
        "{base}: transformers cannot open this tokenizer: KeyError: 'added_tokens'",
    ),
    "slow tokenizer": (
        take_byt5,
        "{base}: its tokenizer (ByT5Tokenizer) does not tell where in the text its tokens lie",
    ),
    "nothing to adapt": (
        take_gpt2,
        "{base}: GPT2LMHeadModel has no linear modules besides its output head, so nothing can be adapted",
    ),
}


@pytest.mark.filterwarnings("ignore:`rope_config_validation`")
@pytest.mark.parametrize("name", WRONG_BASES)
def test_a_base_that_cannot_serve_is_told(name: str, root: Path) -> None:
    spoil, message = WRONG_BASES[name]
    spoil(root / "base" if spoil is shutil.rmtree else root)
    ((_, field, found),) = findings_of(prepare_run_spec(root, local(root)))
    assert (field, found) == ("spec.base.uri", message.replace("{base}", f"file://{root}/base/"))


WRONG_ADAPTERS: list[tuple[str, dict[str, Any], str]] = [
    (
        "targetModulesPattern",
        {"targetModulesPattern": "q_proj"},
        "targetModulesPattern 'q_proj' matches no module of the base",
    ),
    (
        "targetModulesPattern",
        {"targetModulesPattern": ".*(q_proj"},
        "targetModulesPattern '.*(q_proj' is no regular expression: missing ), unterminated subpattern at position 2",
    ),
    (
        "targetModulesPattern",
        {"targetModulesPattern": ".*"},
        "targetModulesPattern '.*' matches model.embed_tokens, which is no linear module besides the head",
    ),
    (
        "targetModulesPattern",
        {"targetModulesPattern": r".*\.q_proj", "targetModules": ["k_proj"]},
        "targetModulesPattern and targetModules ['k_proj'] both name targets",
    ),
    (
        "modulesToSave",
        {"modulesToSave": ["layer_norm"]},
        "modulesToSave 'layer_norm' is no module of the base with weights of its own",
    ),
    (
        "modulesToSave",
        {"modulesToSave": ["self_attn"]},
        "modulesToSave 'self_attn' is no module of the base with weights of its own",
    ),
    (
        "modulesToSave",
        {"modulesToSave": ["q_proj"], "targetModules": ["q_proj", "v_proj"]},
        "modulesToSave and targetModules both name model.layers.0.self_attn.q_proj, which is trained whole or by "
        "factors, not both",
    ),
    (
        "layersToTransform",
        {"layersPattern": ["layers"]},
        "layersPattern ['layers'] chooses nothing without layersToTransform",
    ),
    (
        "layersToTransform",
        {"layersToTransform": [0], "targetModulesPattern": r".*\.q_proj"},
        "layersToTransform chooses among targetModules, not among what targetModulesPattern matches",
    ),
    (
        "layersToTransform",
        {"layersToTransform": [1, 2]},
        "layersToTransform 2: no target lies in a layer of that number",
    ),
    (
        "layersToTransform",
        {"targetModules": ["q_proj"], "excludeModules": ["q_proj"]},
        "excludeModules and modulesToSave leave none of the targets",
    ),
    (
        "rankPattern",
        {"rankPattern": {"qq_proj": 2}},
        "rankPattern 'qq_proj' matches the name of no module that is adapted",
    ),
    (
        "rankPattern",
        {"rankPattern": {"(q_proj)+": 2}},
        "rankPattern has the key '(q_proj)+', which may take for ever to match",
    ),
    (
        "alphaPattern",
        {"alphaPattern": {"q_proj(": 2.0}},
        "alphaPattern has the key 'q_proj(', no regular expression: missing ), unterminated subpattern at position 6",
    ),
    (
        "initLoraWeights",
        {"initLoraWeights": "orthogonal", "rankPattern": {"q_proj": 3}},
        "initLoraWeights orthogonal needs even ranks, and one is 3",
    ),
]
"""Field of sft.lora, what it says, and what is found."""

WRONG_TRAININGS: list[tuple[str, dict[str, Any], str]] = [
    ("precision", {"precision": "fp16"}, "precision fp16 needs GPUs, and the arm trains on CPUs"),
    (
        "optimizer",
        {"optimizer": "adamw_8bit"},
        "optimizer adamw_8bit has no proximal step, which makes the adapter sparse",
    ),
    ("useLigerKernel", {"useLigerKernel": True}, "useLigerKernel needs GPUs, and the arm trains on CPUs"),
    ("torchCompile", {"torchCompile": True}, "torchCompile needs GPUs, and the arm trains on CPUs"),
    (
        "lrScheduler",
        {"lrSchedulerKwargs": {"power": 2}},
        "lrSchedulerKwargs 'power' is no option of the schedule cosine",
    ),
    (
        "lrScheduler",
        {"lrScheduler": "warmup_stable_decay"},
        "lrScheduler warmup_stable_decay with lrSchedulerKwargs {}: "
        "get_wsd_schedule() missing 1 required positional argument: 'num_decay_steps'",
    ),
    (
        "lrScheduler",
        {"lrScheduler": "cosine_with_min_lr"},
        "lrScheduler cosine_with_min_lr with lrSchedulerKwargs {}: One of min_lr or min_lr_rate should be set through "
        "the `lr_scheduler_kwargs`",
    ),
    (
        "deepspeed",
        {"deepspeed": {"zero_force_ds_cpu_optimizer": True}},
        "training.deepspeed.zero_force_ds_cpu_optimizer would put DeepSpeed's own Adam in the place of ours, which "
        "makes the adapter sparse",
    ),
    (
        "deepspeed",
        {"deepspeed": {"zero_optimization": {"offload_optimizer": {"device": "nvme"}}}},
        "training.deepspeed.zero_optimization.offload_optimizer.device is nvme, where checkpoints do not reach the "
        "optimizer's state",
    ),
    (
        "deepspeed",
        {"deepspeed": {"zero_optimization": {"zero_quantized_weights": True}}},
        "training.deepspeed.zero_optimization.zero_quantized_weights needs GPUs, and the arm trains on CPUs",
    ),
]
"""Field of sft.training, what it says, and what is found."""

WRONG_FIELDS: dict[str, tuple[dict[str, Any], tuple[str, str, str]]] = {
    "target that is not there": (
        {"sft__lora": {"targetModules": ["q_proj", "k_poj"]}},
        ("ConfigInvalid", "spec.sft.lora.targetModules", "targetModules 'k_poj' is no linear module of the base"),
    ),
    "target that is no linear module": (
        {"preference__lora": {"targetModules": ["lm_head"]}},
        (
            "ConfigInvalid",
            "spec.preference.lora.targetModules",
            "targetModules 'lm_head' is no linear module of the base",
        ),
    ),
    "all-linear and more": (
        {"sft__lora": {"targetModules": ["all-linear", "q_proj"]}},
        (
            "ConfigInvalid",
            "spec.sft.lora.targetModules",
            "targetModules ['all-linear', 'q_proj'] names modules beside all-linear",
        ),
    ),
    **{
        f"lora: {message}": (
            {"sft__lora": lora},
            ("ConfigInvalid", f"spec.sft.lora.{field}", message),
        )
        for field, lora, message in WRONG_ADAPTERS
    },
    **{
        f"training: {message}": (
            {"sft__training": TRAINING | training},
            ("ConfigInvalid", f"spec.sft.training.{field}", message),
        )
        for field, training, message in WRONG_TRAININGS
    },
    "batch larger than the data": (
        {"sft__training": TRAINING | {"globalBatchSize": 64}},
        (
            "ConfigInvalid",
            "spec.sft.training.globalBatchSize",
            "globalBatchSize 64 is larger than the 48 training rows",
        ),
    ),
    "rows longer than maxLength": (
        {"preference__training": TRAINING | {"maxLength": 16}},
        (
            "DataInvalid",
            "spec.preference.data.train[0].uri",
            "file://{root}/pairs.jsonl: none of the first 32 rows has a token to learn within maxLength 16",
        ),
    ),
    "DeepSpeed against the job": (
        {"sft__training": TRAINING | {"deepspeed": {"zero_optimization": {"stage": 2}}}},
        (
            "ConfigInvalid",
            "spec.sft.training.deepspeed",
            "training.deepspeed.zero_optimization.stage is 2; the arms train with ZeRO-3 only",
        ),
    ),
    "evaluation rows of another format": (
        {
            "sft__data": {
                "train": [{"uri": "file://{root}/chats.jsonl", "format": "messages"}],
                "eval": [{"uri": "file://{root}/pairs.jsonl", "format": "prompt-completion"}],
            }
        },
        (
            "DataInvalid",
            "spec.sft.data.eval[0].uri",
            "file://{root}/pairs.jsonl:1: the field completion is missing; the row has chosen, prompt, rejected",
        ),
    ),
    "template that fails": (
        {"base": {"uri": "file://{root}/base/", "chatTemplate": "{{ messages[0].content + 1 }}"}},
        (
            "ConfigInvalid",
            "spec.sft.data.train[0].uri",
            "file://{root}/chats.jsonl:1: the chat template fails: TypeError: can only concatenate str "
            '(not "int") to str',
        ),
    ),
}


@pytest.mark.parametrize("name", WRONG_FIELDS)
def test_a_field_that_does_not_suit_base_or_data_is_told(name: str, root: Path) -> None:
    changes, expected = WRONG_FIELDS[name]
    changes = json.loads(json.dumps(changes).replace("{root}", str(root)))
    found = findings_of(prepare_run_spec(root, local(root), **changes))
    assert found[0] == tuple(text.replace("{root}", str(root)) for text in expected)
    assert len(found) == (2 if name == "template that fails" else 1)


def test_a_target_close_to_one_that_exists_is_suggested(root: Path) -> None:
    with pytest.raises(PreparationFailed) as caught:
        run_prepare(prepare_run_spec(root, local(root), sft__lora={"targetModules": ["k_poj"]}))
    (finding,) = caught.value.findings
    assert finding.remedy == (
        "Did you mean k_proj? The base has down_proj, gate_proj, k_proj, o_proj, q_proj, up_proj, v_proj."
    )


def test_everything_that_is_wrong_is_told_in_one_run(root: Path) -> None:
    (root / "chats.jsonl").write_text("{}\n")
    (root / "base" / "config.json").unlink()
    (root / "pairs").mkdir()
    output = root / "artifacts" / "output"
    output.mkdir(parents=True)
    (output / "notes.txt").write_text("mine")
    run_spec = prepare_run_spec(
        root,
        local(root),
        sft__training=TRAINING | {"deepspeed": {"optimizer": {"type": "Lion"}}},
        preference__data={
            "train": [
                {"uri": f"file://{root}/pairs/", "format": "preference"},
                {"uri": f"file://{root}/chats.jsonl", "format": "preference"},
            ],
            "eval": [{"uri": f"file://{root}/nothing.jsonl", "format": "preference"}],
        },
    )
    assert findings_of(run_spec) == [
        ("ConfigInvalid", "spec.base.uri", f"file://{root}/base/ has no config.json"),
        (
            "ConfigInvalid",
            "spec.sft.training.deepspeed",
            "training.deepspeed.optimizer is set by training.learningRate and sft.l1",
        ),
        (
            "DataInvalid",
            "spec.sft.data.train[0].uri",
            f"file://{root}/chats.jsonl:1: the field messages is missing; the row has none",
        ),
        ("ConfigInvalid", "spec.preference.data.train[0].uri", f"file://{root}/pairs/ has no data files"),
        (
            "DataInvalid",
            "spec.preference.data.train[1].uri",
            f"file://{root}/chats.jsonl:1: the field chosen is missing; the row has none",
        ),
        (
            "ConfigInvalid",
            "spec.preference.data.eval[0].uri",
            f"file://{root}/nothing.jsonl: there is no such file",
        ),
        (
            "ArtifactMismatch",
            "spec.merge.output.uri",
            f"file://{output}/ is not empty and was not written by PAFT: it holds file://{output}/notes.txt",
        ),
    ]


def test_missing_rights_are_one_finding_beside_the_others(
    root: Path, s3: StorageSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    (root / "chats.jsonl").write_text("")
    run_spec = prepare_run_spec(root, s3.to_document(), merge__output={"uri": f"file://{root}/output/"})
    rights, rows = findings_of(run_spec)
    assert rights[:2] == ("StorageAuth", "spec.storage.artifactsUri")
    assert s3.artifacts_uri in rights[2]
    assert rows == ("DataInvalid", "spec.sft.data.train[0].uri", f"file://{root}/chats.jsonl: the file has no rows")


def test_a_store_that_does_not_answer_ends_the_stage_and_can_be_tried_again(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "some")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    storage = {"artifactsUri": "s3://bucket/", "endpoint": "http://127.0.0.1:9", "retryWindow": 0}
    with pytest.raises(StageError) as caught:
        run_prepare(prepare_run_spec(root, storage))
    assert caught.value.cause is Cause.STORAGE_UNAVAILABLE
    assert [finding.field for finding in caught.value.findings] == ["spec.storage.artifactsUri"]


def test_early_stopping_that_could_never_act(root: Path) -> None:
    data = {"train": [{"uri": f"file://{root}/chats.jsonl", "format": "messages"}]}
    changes = {
        "sft__data": data | {"eval": data["train"]},
        "sft__training": TRAINING | {"earlyStopping": {}, "evalSteps": 12},
    }
    assert findings_of(prepare_run_spec(root, local(root), **changes)) == [
        (
            Cause.CONFIG_INVALID,
            "spec.sft.training.evalSteps",
            "evalSteps 12 leaves no evaluation before the last of 12 steps, so that earlyStopping could never end "
            "training",
        )
    ]


@pytest.mark.parametrize(
    ("sft", "preference", "merge", "message"),
    [
        (
            {"modulesToSave": ["norm", "lm_head"]},
            {"modulesToSave": ["model.norm"]},
            {},
            "modulesToSave: both arms train model.norm whole, and the merge ties takes it from one alone",
        ),
        (
            {"modulesToSave": ["layers.1.mlp.up_proj"]},
            {},
            {},
            "modulesToSave of sft trains model.layers.1.mlp.up_proj whole, which preference adapts: its delta would "
            "belong to another weight",
        ),
        (
            {"targetModules": ["q_proj"]},
            {"modulesToSave": ["layers.0.self_attn.q_proj"]},
            {"method": "sft_only"},
            "modulesToSave of preference trains model.layers.0.self_attn.q_proj whole, which sft adapts: its delta "
            "would belong to another weight",
        ),
        (
            {"modulesToSave": ["norm"]},
            {"modulesToSave": ["norm"]},
            {"method": "sft_only", "candidates": [{"name": "mixed", "method": "linear"}]},
            "modulesToSave: both arms train model.norm whole, and the merge linear takes it from one alone",
        ),
    ],
)
def test_whole_modules_that_the_merge_could_not_take_are_told(
    sft: dict[str, Any], preference: dict[str, Any], merge: dict[str, Any], message: str, root: Path
) -> None:
    options = {f"merge__{name}": value for name, value in merge.items()}
    run_spec = prepare_run_spec(root, local(root), sft__lora=sft, preference__lora=preference, **options)
    assert findings_of(run_spec) == [("ConfigInvalid", "spec.preference.lora.modulesToSave", message)]


@pytest.mark.parametrize(
    ("sft", "preference", "merge"),
    [
        ({"modulesToSave": ["norm"]}, {"modulesToSave": ["lm_head"]}, {}),
        ({"modulesToSave": ["norm"]}, {"modulesToSave": ["norm"]}, {"method": "preference_only"}),
    ],
)
def test_whole_modules_that_the_merge_can_take(
    sft: dict[str, Any], preference: dict[str, Any], merge: dict[str, Any], root: Path
) -> None:
    options = {f"merge__{name}": value for name, value in merge.items()}
    run_prepare(prepare_run_spec(root, local(root), sft__lora=sft, preference__lora=preference, **options))


def test_a_tracker_that_is_told_over_the_network_needs_a_key(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    document = json.loads(prepare_run_spec(root, local(root)).to_json())
    tracking = {"wandb": {"project": "sums"}}

    found = findings_of(RunSpec.model_validate_json(json.dumps(document | {"tracking": tracking})))

    missing = [] if find_spec("wandb") else [("ConfigInvalid", "spec.tracking.wandb")]
    assert [one[:2] for one in found] == [*missing, ("ConfigInvalid", "spec.tracking.wandb.mode")]
    assert found[-1][2] == "wandb.mode online needs an API key, and there is no secretRef and no WANDB_API_KEY"


def test_a_tracker_whose_library_is_missing_is_told(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    document = json.loads(prepare_run_spec(root, local(root)).to_json())
    tracking = {"mlflow": {}}

    found = findings_of(RunSpec.model_validate_json(json.dumps(document | {"tracking": tracking})))

    message = "tracking.mlflow needs the Python package mlflow, which is not installed"
    assert found == [("ConfigInvalid", "spec.tracking.mlflow", message)]
