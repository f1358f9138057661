"""A PaftJob from `paft submit` to its checkpoint by the command line alone; only the kubelet is played."""

import json
from pathlib import Path

import pytest
import yaml
from tests.kubelet_stand_in import KubeletStandIn
from tests.paft_cli.cluster.command_line import CommandLine, ended, lines_of
from tests.paft_operator.cluster_jobs import ClusterJobs, minimal_job, stage
from tests.paft_operator.operator_processes import OperatorProcess
from tests.paft_operator.played_stages import failing_stage
from tests.paft_operator.played_stages import stage as play

from paft_api.causes import Cause

pytestmark = pytest.mark.slow


def test_submit_watch_retry(
    paft: CommandLine, job_file: Path, operator: OperatorProcess, jobs: ClusterJobs, kubelet: KubeletStandIn
) -> None:
    kubelet.play(failing_stage(Cause.DATA_INVALID), {"paft.dev/stage": "sft", "paft.dev/attempt": "1"})
    kubelet.play(play(), {})

    job_file.write_text(yaml.safe_dump(minimal_job(suspend=True)), encoding="utf-8")
    assert paft("submit", "job.yaml").code == 0
    watching = paft.start("watch", "tiny")
    assert lines_of(watching, 1)[0].startswith("tiny: ")
    assert paft("resume", "tiny").code == 0
    failed = ended(watching)
    assert failed.code == 1
    assert "prepare succeeded\n" in failed.out
    assert failed.err.startswith("Failed: sft attempt 1: DataInvalid: ")
    assert "\n  log: paft logs sft tiny --attempt 1\n" in failed.err
    assert failed.err.endswith("  paft retry tiny\n")

    announced = paft("retry", "tiny").out
    assert announced.startswith("PaftJob tiny is tried again now: sft as attempt 2")
    published = ended(paft.start("watch", "tiny"))
    assert published.code == 0
    assert "\n  output              s3://models/tiny-paft/\n" in published.out
    status = json.loads(paft("status", "tiny", "-o", "json").out)["status"]
    assert [(one["name"], one["attempt"]) for one in status["stages"] if one["name"] in ("prepare", "sft")] == [
        ("prepare", 1),
        ("sft", 2),
    ]


def test_suspend_and_resume(
    paft: CommandLine, job_file: Path, operator: OperatorProcess, jobs: ClusterJobs, kubelet: KubeletStandIn
) -> None:
    kubelet.play(play(60), {"paft.dev/stage": "sft", "paft.dev/attempt": "1"})
    kubelet.play(play(), {})
    assert paft("submit", "job.yaml").code == 0
    jobs.wait(lambda status: stage(status, "sft").get("step") == 4)

    assert "saved\n" in paft("suspend", "tiny").out
    jobs.wait(lambda status: status["phase"] == "Suspended" and stage(status, "sft")["state"] != "Running")
    assert paft("status", "tiny").out.startswith("tiny: Suspended\n")

    assert paft("resume", "tiny").code == 0
    assert ended(paft.start("watch", "tiny")).code == 0
    assert stage(jobs.get(), "sft")["attempt"] == 2
