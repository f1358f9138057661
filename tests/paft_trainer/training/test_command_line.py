"""Whole jobs of a tiny model through `paft run`, as a user starts them: they train as recorded."""

import json
import math
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.paft_trainer.training.dpo_losses.test_loss_trajectories import LOSSES
from tests.paft_trainer.training.test_trajectories import ORPO, PENALTIES, RECORDED, STEPS
from tests.run_specs import write_sums
from tests.tiny_models import build_checkpoint

from paft_trainer.storage.file_store import uri_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


JOBS: dict[tuple[str, str], tuple[int, dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    ("sft", "dpo every loss"): (1, {}, {}, {"dpo": LOSSES["dpo every loss"]}),
    ("target", "orpo"): (2, {"packing": False}, {"l1": PENALTIES["target"]}, {"method": "orpo", "orpo": ORPO}),
}
"""By the names of both trajectories: processes of each arm, and what differs in training and in either arm."""


@pytest.fixture(scope="module", params=JOBS, ids=" and ".join)
def job(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[tuple[str, str], Path]:
    """Names of the trajectories, and the folder of the attempts of a job that has run to its end."""
    names: tuple[str, str] = request.param
    processes, changes, sft, preference = JOBS[names]
    root = tmp_path_factory.mktemp("command-line")
    build_checkpoint(root / "base", "llama", tied=True)
    chats, pairs = write_sums(root)
    training = {
        "maxSteps": STEPS,
        "globalBatchSize": 4,
        "microBatchSize": 2,
        "maxLength": 64,
        "warmupRatio": 0,
        "learningRate": 1.0e-2,
    } | changes
    resources = {"gpusPerNode": 0, "processesPerNode": processes}
    common = {"training": training, "lora": {"r": 4}, "resources": resources}
    document = {
        "apiVersion": "paft.dev/v1alpha1",
        "kind": "PaftJob",
        "metadata": {"name": "recorded"},
        "spec": {
            "base": {"uri": uri_of(root / "base") + "/"},
            "storage": {"artifactsUri": uri_of(root / "artifacts") + "/"},
            "sft": {"data": {"train": [{"uri": uri_of(chats), "format": "messages"}]}} | common | sft,
            "preference": {"data": {"train": [{"uri": uri_of(pairs), "format": "preference"}]}} | common | preference,
            "merge": {"output": {"uri": uri_of(root / "output") + "/"}},
        },
    }
    (root / "job.yaml").write_text(yaml.safe_dump(document), encoding="utf-8")
    environment = os.environ | {"OMP_NUM_THREADS": "1", "DS_ACCELERATOR": "cpu", "GLOO_SOCKET_IFNAME": "lo"}
    command = [sys.executable, "-m", "paft_cli", "run", "job.yaml"]
    subprocess.run(command, cwd=root, env=environment, check=True, stdout=subprocess.DEVNULL)
    return names, root / ".paft" / "jobs" / "recorded" / "attempts"


def test_a_job_trains_as_recorded(job: tuple[tuple[str, str], Path]) -> None:
    names, attempts = job
    recorded = json.loads(RECORDED.read_text())
    for stage, arm in zip(("sft", "preference"), names, strict=True):
        log = (attempts / f"{stage}-1" / "log.txt").read_text(encoding="utf-8")
        losses = [float(loss) for loss in re.findall(r"\{'loss': '([^']+)'", log)]
        assert len(losses) == STEPS
        for loss, exact in zip(losses, recorded[arm], strict=True):
            assert loss == pytest.approx(exact, rel=0, abs=half_a_digit(exact) + 1e-4), arm


def half_a_digit(loss: float) -> float:
    """The log rounds losses to four digits, of which some stand before the point."""
    return float(0.5 * 10.0 ** (math.floor(math.log10(loss)) - 3))
