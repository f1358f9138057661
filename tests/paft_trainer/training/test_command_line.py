"""Whole jobs of a tiny model through `paft run`, as a user starts them: they train as recorded."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from tests.paft_trainer.training.test_trajectories import PENALTIES, RECORDED, STEPS
from tests.run_specs import write_sums
from tests.tiny_models import build_checkpoint

from paft_trainer.storage.file_store import uri_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

HALF_A_DIGIT = 5e-4
"""The log rounds losses to four digits, of which some stand before the point."""


JOBS: dict[str, tuple[int, dict[str, Any], dict[str, Any]]] = {
    "sft": (1, {}, {}),
    "target": (2, {"packing": False}, {"l1": PENALTIES["target"]}),
}
"""By the name of SFT's trajectory: processes of each arm, and what differs in training and in SFT."""


@pytest.fixture(scope="module", params=JOBS)
def job(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """Name of SFT's trajectory, and the folder of the attempts of a job that has run to its end."""
    name: str = request.param
    processes, changes, sft = JOBS[name]
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
            "preference": {"data": {"train": [{"uri": uri_of(pairs), "format": "preference"}]}} | common,
            "merge": {"output": {"uri": uri_of(root / "output") + "/"}},
        },
    }
    (root / "job.yaml").write_text(yaml.safe_dump(document), encoding="utf-8")
    environment = os.environ | {"OMP_NUM_THREADS": "1", "DS_ACCELERATOR": "cpu", "GLOO_SOCKET_IFNAME": "lo"}
    command = [sys.executable, "-m", "paft_cli", "run", "job.yaml"]
    subprocess.run(command, cwd=root, env=environment, check=True, stdout=subprocess.DEVNULL)
    return name, root / ".paft" / "jobs" / "recorded" / "attempts"


def test_a_job_trains_as_recorded(job: tuple[str, Path]) -> None:
    name, attempts = job
    recorded = json.loads(RECORDED.read_text())
    for stage, arm in (("sft", name), ("preference", "dpo")):
        log = (attempts / f"{stage}-1" / "log.txt").read_text(encoding="utf-8")
        losses = [float(loss) for loss in re.findall(r"\{'loss': '([^']+)'", log)]
        np.testing.assert_allclose(losses, recorded[arm], rtol=0, atol=HALF_A_DIGIT + 1e-4, err_msg=arm)
