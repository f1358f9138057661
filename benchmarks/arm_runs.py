"""Runs SFT arms with the trainer's own code: on two ZeRO-3 ranks through its launcher, or in one plain process."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from benchmarks.arm_outcomes import ArmRun, Untrained
from benchmarks.arm_settings import RANKS, ArmSetting
from benchmarks.processes import MeasuringFailed, run_python

from paft_api.report import ReportState, StageReport
from paft_api.run_spec import RunSpec, SftRun, StageIdentity, World
from paft_api.spec.base import BaseSpec
from paft_api.spec.sft import SftSpec
from paft_api.spec.storage import StorageSpec
from paft_api.stages import StageName
from paft_trainer.base.index import index_base
from paft_trainer.storage.file_store import FileStore, uri_of

_STAGE_DIGEST = "sha256:" + "0" * 64
"""One for all: every run has artifacts of its own, so that none finds another's adapter."""

_ONE_PROCESS = {
    "DS_ACCELERATOR": "cpu",
    "CUDA_VISIBLE_DEVICES": "",
    "HF_HUB_OFFLINE": "1",
    "TOKENIZERS_PARALLELISM": "false",
}


class Method(StrEnum):
    """How a run in one process differs from the product."""

    PRODUCT = "product"
    """Not at all."""
    SUBGRADIENT = "subgradient"
    """The penalty is part of the loss, and AdamW has no proximal step."""
    UNGUARDED = "unguarded"
    """The proximal step without its guards: no bound, no ramp, and weights without a gradient shrink too."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """One training in one process."""

    spec: SftSpec
    method: Method = Method.PRODUCT


def run_on_two_ranks(setting: ArmSetting, spec: SftSpec, directory: Path) -> ArmRun:
    """Train through the launcher, as a pod or `paft run` does. Raises MeasuringFailed."""
    run_spec = _run_spec(setting, spec, directory, processes=RANKS)
    file = directory / "run-spec.json"
    file.write_text(run_spec.to_json(), encoding="utf-8")
    run_python(["-m", "paft_trainer", "sft", "--run-spec", str(file)], directory / "log.txt", os.environ)
    report = StageReport.model_validate_json(Path(run_spec.report_path).read_text(encoding="utf-8"))
    if report.state is not ReportState.SUCCEEDED:
        raise MeasuringFailed(f"{directory}: the arm is {report.state}")
    # The adapter's own tokens per second include the last evaluation and saving.
    return ArmRun.model_validate(
        {name: getattr(report.progress, name) for name in ("eval_loss", "sparsity", "tokens_per_second", "warnings")}
    )


def run_in_one_process(
    setting: ArmSetting, cases: Mapping[str, Case], directory: Path
) -> tuple[Untrained, dict[str, ArmRun]]:
    """Measure the untrained arm and train `cases`, all in one process without a launcher. Raises MeasuringFailed."""
    untrained = _run_spec(setting, setting.spec, directory / "untrained", processes=1)
    payload = {
        "untrained": untrained.to_document(),
        "cases": {
            name: {
                "method": case.method,
                "runSpec": _run_spec(setting, case.spec, directory / name, processes=1).to_document(),
            }
            for name, case in cases.items()
        },
    }
    asked, answered = directory / "cases.json", directory / "results.json"
    asked.write_text(json.dumps(payload), encoding="utf-8")
    environment = os.environ | _ONE_PROCESS | {"OMP_NUM_THREADS": str(setting.threads)}
    run_python(["-m", "benchmarks.one_process", str(asked), str(answered)], directory / "log.txt", environment)
    results = json.loads(answered.read_text(encoding="utf-8"))
    return (
        Untrained.model_validate_json(json.dumps(results["untrained"])),
        {name: ArmRun.model_validate_json(json.dumps(run)) for name, run in results["cases"].items()},
    )


def _run_spec(setting: ArmSetting, spec: SftSpec, directory: Path, *, processes: int) -> RunSpec:
    directory.mkdir(parents=True)
    base_uri = uri_of(setting.base) + "/"
    training = spec.training
    return RunSpec(
        identity=StageIdentity(
            job_name=setting.name,
            job_namespace="benchmark",
            job_uid="benchmark",
            generation=1,
            stage=StageName.SFT,
            attempt=1,
        ),
        base=BaseSpec(uri=base_uri),
        storage=StorageSpec(artifacts_uri=uri_of(directory / "artifacts") + "/"),
        base_digest=index_base(FileStore(), base_uri, None).digest,
        stage_digest=_STAGE_DIGEST,
        report_path=str(directory / "report.json"),
        termination_path=str(directory / "termination.json"),
        scratch_directory=str(directory / "scratch"),
        cache_directory=str(directory / "cache"),
        sft=SftRun(
            spec=spec,
            world=World(
                nodes=1,
                processes_per_node=processes,
                device="cpu",
                gradient_accumulation_steps=training.global_batch_size // (training.micro_batch_size * processes),
                threads_per_process=setting.threads,
            ),
        ),
    )
