"""One job of a tiny model through `paft run`, with options in both arms: adapters, trackers, and the merge of both."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file
from tests.event_files import scalars
from tests.run_specs import write_sums
from tests.tiny_models import build_checkpoint

from paft_trainer.adapters import Adapter, read_adapter
from paft_trainer.storage.file_store import FileStore, uri_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

STEPS = 4
TRAINING: dict[str, Any] = {
    "maxSteps": STEPS,
    "globalBatchSize": 4,
    "microBatchSize": 1,
    "maxLength": 64,
    "warmupRatio": 0,
    "learningRate": 1.0e-2,
    "saveSteps": 2,
}
SFT: dict[str, Any] = {
    "lora": {
        "r": 4,
        "rankPattern": {"q_proj": 2, r"layers\.1\.mlp\..*": 6},
        "alphaPattern": {"q_proj": 3},
        "loraplusLrRatio": 4,
        "modulesToSave": ["norm", "layers.0.input_layernorm", "lm_head"],
        "initLoraWeights": "gaussian",
    },
    "training": TRAINING
    | {
        "optimizer": "adamw_fused",
        "neftuneNoiseAlpha": 5,
        "assistantOnlyLoss": False,
        "lrScheduler": "polynomial",
        "lrSchedulerKwargs": {"power": 2},
        "offloadOptimizer": "cpu",
    },
}
PREFERENCE: dict[str, Any] = {
    "lora": {
        "r": 4,
        "targetModulesPattern": r".*\.(q|v|up)_proj",
        "excludeModules": ["layers.0.mlp.up_proj"],
        "initLoraWeights": "orthogonal",
        "modulesToSave": ["embed_tokens"],
    },
    "training": TRAINING | {"gradientCheckpointing": True, "adamBeta2": 0.99, "lrScheduler": "inverse_sqrt"},
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which a job has run to its end."""
    root = tmp_path_factory.mktemp("job")
    build_checkpoint(root / "base", "llama")
    chats, pairs = write_sums(root)
    sft = {"data": {"train": [{"uri": uri_of(chats), "format": "messages"}]}, "resources": _processes(2)}
    preference = {"data": {"train": [{"uri": uri_of(pairs), "format": "preference"}]}, "resources": _processes(1)}
    document = {
        "apiVersion": "paft.dev/v1alpha1",
        "kind": "PaftJob",
        "metadata": {"name": "options"},
        "spec": {
            "base": {"uri": uri_of(root / "base") + "/"},
            "storage": {"artifactsUri": uri_of(root / "artifacts") + "/"},
            "sft": sft | SFT,
            "preference": preference | PREFERENCE,
            "merge": {"method": "linear", "output": {"uri": uri_of(root / "output") + "/"}},
            "tracking": {"mlflow": {"experiment": "sums"}},
        },
    }
    (root / "job.yaml").write_text(yaml.safe_dump(document), encoding="utf-8")
    environment = os.environ | {"OMP_NUM_THREADS": "1", "DS_ACCELERATOR": "cpu", "GLOO_SOCKET_IFNAME": "lo"}
    command = [sys.executable, "-m", "paft_cli", "run", "job.yaml"]
    subprocess.run(command, cwd=root, env=environment, check=True, stdout=subprocess.DEVNULL)
    return root


def _processes(count: int) -> dict[str, int]:
    return {"gpusPerNode": 0, "processesPerNode": count}


def adapters(root: Path) -> dict[str, Adapter]:
    (sft,), (preference,) = ((root / "artifacts" / arm).iterdir() for arm in ("sft", "preference"))
    return {
        arm: read_adapter(FileStore(), uri_of(folder) + "/")
        for arm, folder in (("sft", sft), ("preference", preference))
    }


def test_adapters_have_the_modules_ranks_and_scales_of_the_job(root: Path) -> None:
    found = adapters(root)
    sft = {name: (factors.a.shape[0], factors.scale) for name, factors in found["sft"].modules.items()}
    assert len(sft) == 14
    assert sft["model.layers.0.self_attn.q_proj"] == (2, 3 / 2)
    assert sft["model.layers.1.mlp.up_proj"] == (6, 32 / 6)
    assert sft["model.layers.0.mlp.up_proj"] == (4, 32 / 4)
    assert sorted(found["preference"].modules) == [
        "model.layers.0.self_attn.q_proj",
        "model.layers.0.self_attn.v_proj",
        "model.layers.1.mlp.up_proj",
        "model.layers.1.self_attn.q_proj",
        "model.layers.1.self_attn.v_proj",
    ]
    assert sorted(found["sft"].saved) == [
        "lm_head.weight",
        "model.layers.0.input_layernorm.weight",
        "model.norm.weight",
    ]
    assert list(found["preference"].saved) == ["model.embed_tokens.weight"]


def test_the_merge_adds_both_deltas_and_takes_whole_modules_from_their_arms(root: Path) -> None:
    base, merged = (load_file(root / folder / "model.safetensors") for folder in ("base", "output"))
    found = adapters(root)
    for name in base:
        arm = next((arm for arm, adapter in found.items() if name in adapter.saved), None)
        if arm is not None:
            saved = load_file(root_of(found[arm]) / "adapter_model.safetensors")[f"base_model.model.{name}"]
            assert torch.equal(merged[name], saved)
            assert not torch.equal(saved, base[name])
            continue
        deltas = [
            factors.scale * torch.from_numpy(factors.b) @ torch.from_numpy(factors.a)
            for adapter in found.values()
            if (factors := adapter.modules.get(name.removesuffix(".weight"))) is not None
        ]
        # Linear: the mean of both, where each is weighted with 1.
        expected = base[name] + sum(deltas) / 2 if deltas else base[name]
        torch.testing.assert_close(merged[name], expected, rtol=0, atol=1e-5)


def root_of(adapter: Adapter) -> Path:
    return Path(adapter.uri.removeprefix("file://"))


def test_all_stages_are_runs_of_one_group(root: Path) -> None:
    (job,) = (root / "artifacts" / "tracking").iterdir()
    assert job.name.startswith("options-")
    for arm in ("sft", "preference"):
        told = scalars(job / "tensorboard" / arm)
        assert [step for step, _ in told["train/loss"]] == list(range(1, STEPS + 1))
    assert "merge/seconds" in scalars(job / "tensorboard" / "merge")


def test_offline_runs_of_mlflow_have_one_group(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    client = pytest.importorskip("mlflow.tracking").MlflowClient
    (job,) = (root / "artifacts" / "tracking").iterdir()
    groups = set()
    for store in sorted((job / "mlflow").iterdir()):
        opened = client(tracking_uri=store.as_uri())
        (run,) = opened.search_runs([opened.get_experiment_by_name("sums").experiment_id])
        groups.add(run.data.tags["paft.group"])
        assert run.info.status == "FINISHED"
        assert "output.uri" in run.data.params or run.data.params["training.maxSteps"] == str(STEPS)
    assert groups == {job.name}
    assert len(list((job / "mlflow").iterdir())) == 3
