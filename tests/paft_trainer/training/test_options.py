"""Options of training on real ranks, many in one launch: in one process and under ZeRO-3, broken off and resumed."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import load_file
from tests.event_files import scalars
from tests.ranks import Case, Outcome, run_cases
from tests.run_specs import arm_run_spec, write_sums
from tests.tiny_models import build_checkpoint

from paft_trainer.adapters import read_adapter
from paft_trainer.storage.file_store import FileStore, path_of, uri_of

pytestmark = pytest.mark.slow

STEPS = 4
STOPPED_AT = 2

RANKS = {"rankPattern": {"q_proj": 2, r"layers\.1\.mlp\..*": 6}, "alphaPattern": {"q_proj": 3.0}}
OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "ranks": {
        "lora": {**RANKS, "initLoraWeights": "gaussian", "loraplusLrRatio": 8.0},
        "training": {"optimizer": "adamw_fused", "neftuneNoiseAlpha": 5.0},
    },
    "one layer": {
        "lora": {"layersToTransform": [1], "layersPattern": ["layers"], "initLoraWeights": "orthogonal"},
        "l1": {"mode": "subgradient", "lambda": 2e-3},
        "training": {"adamBeta1": 0.5, "adamBeta2": 0.9, "adamEpsilon": 1e-3},
    },
    "by pattern": {
        "lora": {"targetModulesPattern": r".*\.(q|v)_proj", "excludeModules": ["layers.0.self_attn.q_proj"]},
        "training": {"lrScheduler": "polynomial", "lrSchedulerKwargs": {"power": 2, "lr_end": 1e-4}},
    },
    "whole modules": {
        "lora": {
            "modulesToSave": ["norm", "layers.0.input_layernorm", "embed_tokens", "lm_head"],
            "loraplusLrRatio": 4.0,
            **RANKS,
        },
        "l1": {"targetSparsity": 0.3, "granularity": "rows"},
    },
    "whole modules in the loss": {
        "lora": {"modulesToSave": ["norm", "lm_head"]},
        "l1": {"mode": "subgradient", "lambda": 2e-3},
        "training": {"assistantOnlyLoss": False},
    },
    "elsewhere": {"training": {"offloadOptimizer": "cpu", "offloadParam": "cpu", "gradientCheckpointing": True}},
    "noise, padded": {
        "training": {
            "neftuneNoiseAlpha": 5.0,
            "packing": False,
            "lrScheduler": "cosine_with_restarts",
            "lrSchedulerKwargs": {"num_cycles": 2},
        }
    },
    "noise, packed": {
        "training": {
            "neftuneNoiseAlpha": 5.0,
            "lrScheduler": "cosine_with_restarts",
            "lrSchedulerKwargs": {"num_cycles": 2},
        }
    },
}
RESUMED = ("ranks", "whole modules")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("options")
    build_checkpoint(root / "base", "llama")
    write_sums(root)
    return root


def case(
    folder: Path, name: str, *, ranks: int, stage: str = "sft", attempt: int = 1, stop_at: int | None = None
) -> Case:
    options = OPTIONS[name]
    broken_off = stop_at is not None or attempt > 1
    run_spec = arm_run_spec(
        stage,
        base=folder / "base",
        data=folder / ("chats.jsonl" if stage == "sft" else "pairs.jsonl"),
        artifacts=folder / f"{stage}-{name}-{ranks}-{broken_off}".replace(" ", "-"),
        processes=ranks,
        attempt=attempt,
        training={"maxSteps": STEPS, **options.get("training", {})},
        lora=options.get("lora"),
        l1=options.get("l1", {"mode": "proximal", "lambda": 2e-3}) if stage == "sft" else None,
    )
    return Case(run_spec=run_spec, stop_at=stop_at)


def run(folder: Path, cases: dict[str, Case], ranks: int) -> dict[str, Outcome]:
    directory = folder / f"ranks-{ranks}"
    directory.mkdir()
    return dict(zip(cases, run_cases(list(cases.values()), ranks=ranks, directory=directory), strict=True))


@pytest.fixture(scope="module")
def in_one_process(folder: Path) -> dict[str, Outcome]:
    return run(folder, {name: case(folder, name, ranks=1) for name in OPTIONS}, 1)


@pytest.fixture(scope="module")
def on_two_ranks(folder: Path) -> dict[str, Outcome]:
    cases = {name: case(folder, name, ranks=2) for name in OPTIONS}
    for name in RESUMED:
        cases[f"{name}, stopped"] = case(folder, name, ranks=2, stop_at=STOPPED_AT)
        cases[f"{name}, resumed"] = case(folder, name, ranks=2, attempt=2)
    cases["pairs"] = case(folder, "whole modules", ranks=2, stage="preference")
    return run(folder, cases, 2)


def adapter(outcome: Outcome) -> Path:
    assert outcome.last.adapter is not None
    return path_of(outcome.last.adapter.artifact.uri)


@pytest.mark.parametrize("name", OPTIONS)
def test_two_zero3_ranks_train_as_one_process_does(
    name: str, in_one_process: dict[str, Outcome], on_two_ranks: dict[str, Outcome]
) -> None:
    whole, partitioned = in_one_process[name], on_two_ranks[name]

    assert len(whole.losses) == STEPS
    np.testing.assert_allclose(partitioned.losses, whole.losses, rtol=0, atol=1e-4)


def test_every_set_of_options_but_those_that_change_no_result_trains_otherwise(
    in_one_process: dict[str, Outcome],
) -> None:
    plain = in_one_process["plain"].losses
    np.testing.assert_allclose(in_one_process["elsewhere"].losses, plain, rtol=0, atol=1e-5)
    others = {name: outcome.losses for name, outcome in in_one_process.items() if name not in ("plain", "elsewhere")}
    assert [name for name, losses in others.items() if np.allclose(losses, plain, rtol=0, atol=1e-4)] == []


def test_noise_is_the_same_packed_and_padded(in_one_process: dict[str, Outcome]) -> None:
    padded, packed = (in_one_process[f"noise, {layout}"].losses for layout in ("padded", "packed"))
    np.testing.assert_allclose(packed, padded, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", RESUMED)
def test_a_resumed_arm_ends_bit_for_bit_as_an_unbroken_one(name: str, on_two_ranks: dict[str, Outcome]) -> None:
    unbroken, stopped, resumed = (on_two_ranks[one] for one in (name, f"{name}, stopped", f"{name}, resumed"))

    assert stopped.last.progress.checkpoint_step == resumed.last.progress.resumed_step == STOPPED_AT
    files = [(adapter(one) / "adapter_model.safetensors").read_bytes() for one in (unbroken, resumed)]
    assert files[0] == files[1]


def test_event_files_of_both_attempts_are_one_run(folder: Path, on_two_ranks: dict[str, Outcome]) -> None:
    run = folder / "sft-ranks-2-True" / "tracking" / "test-uid" / "tensorboard" / "sft"
    unbroken = on_two_ranks["ranks"]

    found = scalars(run)

    assert len(list(run.iterdir())) == 2
    assert [step for step, _ in found["train/loss"]] == list(range(1, STEPS + 1))
    np.testing.assert_allclose([loss for _, loss in found["train/loss"]], unbroken.losses, rtol=1e-6)
    assert found.keys() >= {"train/grad_norm", "train/learning_rate", "sparsity/bZero", "sparsity/penalty"}


def test_adapters_have_a_rank_and_a_scale_for_each_module(folder: Path, on_two_ranks: dict[str, Outcome]) -> None:
    read = read_adapter(FileStore(), uri_of(adapter(on_two_ranks["ranks"])) + "/")

    ranks = {name: (factors.a.shape[0], factors.scale) for name, factors in read.modules.items()}
    assert ranks["model.layers.0.self_attn.q_proj"] == (2, 3 / 2)
    assert ranks["model.layers.1.mlp.up_proj"] == (6, 32 / 6)
    assert ranks["model.layers.0.mlp.up_proj"] == (4, 32 / 4)
    assert all(factors.b.any() for factors in read.modules.values())


@pytest.mark.parametrize("name", ["whole modules", "pairs"])
def test_whole_modules_are_trained_and_published(name: str, folder: Path, on_two_ranks: dict[str, Outcome]) -> None:
    base = load_file(folder / "base" / "model.safetensors")
    read = read_adapter(FileStore(), uri_of(adapter(on_two_ranks[name])) + "/")

    tensors = load_file(adapter(on_two_ranks[name]) / "adapter_model.safetensors")
    assert set(read.saved) == {
        "model.norm.weight",
        "model.layers.0.input_layernorm.weight",
        "model.embed_tokens.weight",
        "lm_head.weight",
    }
    for tensor in read.saved:
        saved = tensors[f"base_model.model.{tensor}"]
        assert 0 < float((saved - base[tensor]).abs().max()) < 0.2
        # Rows of B become zero here; of what is trained whole nothing does.
        assert float((saved == 0).float().mean()) == 0
