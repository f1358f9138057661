"""Options of training on real ranks, many in one launch: in one process and under ZeRO-3, broken off and resumed."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.ranks import Case, Outcome, run_cases
from tests.run_specs import arm_run_spec, write_sums
from tests.tiny_models import build_checkpoint

pytestmark = pytest.mark.slow

STEPS = 6
STOPPED_AT = 3

RANKS = {"rankPattern": {"q_proj": 2, r"layers\.1\.mlp\..*": 6}, "alphaPattern": {"q_proj": 3.0}}
OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "ranks by pattern": {"lora": RANKS},
    "LoRA+": {"lora": {"loraplusLrRatio": 8.0}},
    "gaussian": {"lora": {"initLoraWeights": "gaussian"}},
    "orthogonal": {"lora": {"initLoraWeights": "orthogonal"}},
    "one layer": {"lora": {"layersToTransform": [1], "layersPattern": ["layers"]}},
    "targets by pattern": {"lora": {"targetModulesPattern": r".*\.(q|v)_proj"}},
    "but for some": {"lora": {"excludeModules": ["mlp.gate_proj", "o_proj"]}},
    "whole modules": {"lora": {"modulesToSave": ["norm", "layers.0.input_layernorm", "embed_tokens", "lm_head"]}},
    "whole modules, penalised by rows": {
        "lora": {"modulesToSave": ["norm"], "loraplusLrRatio": 4.0, **RANKS},
        "l1": {"targetSparsity": 0.3, "granularity": "rows"},
    },
    "whole modules, penalised in the loss": {
        "lora": {"modulesToSave": ["norm"]},
        "l1": {"mode": "subgradient", "lambda": 2e-3},
    },
    "NEFTune": {"training": {"neftuneNoiseAlpha": 5.0}},
    "NEFTune, padded": {"training": {"neftuneNoiseAlpha": 5.0, "packing": False, "gradientCheckpointing": True}},
    "all tokens": {"training": {"assistantOnlyLoss": False}},
    "fused": {"training": {"optimizer": "adamw_fused"}},
    "other betas": {"training": {"adamBeta1": 0.5, "adamBeta2": 0.9, "adamEpsilon": 1e-3}},
    "offloaded": {"training": {"offloadOptimizer": "cpu", "offloadParam": "cpu"}},
    "recomputed": {"training": {"gradientCheckpointing": True}},
    "bf16": {"training": {"precision": "bf16"}},
    "restarts": {"training": {"lrScheduler": "cosine_with_restarts", "lrSchedulerKwargs": {"num_cycles": 2}}},
    "stable": {"training": {"lrScheduler": "warmup_stable_decay", "lrSchedulerKwargs": {"num_decay_steps": 3}}},
}


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
    run_spec = arm_run_spec(
        stage,
        base=folder / "base",
        data=folder / ("chats.jsonl" if stage == "sft" else "pairs.jsonl"),
        artifacts=folder / f"{stage}-{name}-{ranks}-{stop_at or attempt > 1}".replace(" ", "-"),
        processes=ranks,
        attempt=attempt,
        training={"maxSteps": STEPS, **options.get("training", {})},
        lora=options.get("lora"),
        l1=options.get("l1", {"mode": "proximal", "lambda": 2e-3}) if stage == "sft" else None,
    )
    return Case(run_spec=run_spec, stop_at=stop_at)


def run(folder: Path, ranks: int) -> dict[str, Outcome]:
    cases = {name: case(folder, name, ranks=ranks) for name in OPTIONS}
    directory = folder / f"ranks-{ranks}"
    directory.mkdir()
    return dict(zip(cases, run_cases(list(cases.values()), ranks=ranks, directory=directory), strict=True))


@pytest.fixture(scope="module")
def in_one_process(folder: Path) -> dict[str, Outcome]:
    return run(folder, 1)


@pytest.fixture(scope="module")
def on_two_ranks(folder: Path) -> dict[str, Outcome]:
    return run(folder, 2)


@pytest.mark.parametrize("name", OPTIONS)
def test_two_zero3_ranks_train_as_one_process_does(
    name: str, in_one_process: dict[str, Outcome], on_two_ranks: dict[str, Outcome]
) -> None:
    whole, partitioned = in_one_process[name], on_two_ranks[name]
    assert whole.failure is None
    assert partitioned.failure is None
    np.testing.assert_allclose(partitioned.losses, whole.losses, rtol=0, atol=2e-2 if name == "bf16" else 1e-4)
