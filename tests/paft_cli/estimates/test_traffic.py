"""Bytes of object storage by hand."""

import pytest
from tests.paft_cli.estimates.shapes import sft_setting, tiny_base

from paft_api.spec.job import PaftJobSpec
from paft_cli.estimates.data_size import DataSize
from paft_cli.estimates.job_estimate import Hardware, JobEstimate, estimate_job
from paft_cli.estimates.traffic import Flow

BASE = 3408
ADAPTER = 4 * sft_setting().adapter_parameters
SIZES = {
    "sft": DataSize(rows=100, tokens=1000, context=10, stored_bytes=5000),
    "preference": DataSize(rows=100, tokens=2000, context=10, stored_bytes=7000),
}


def estimate(**output: object) -> JobEstimate:
    """Both arms on two GPUs, 25 steps each, saved every 10."""
    arm = {
        "lora": {"r": 2},
        "training": {"globalBatchSize": 4, "saveSteps": 10, "maxLength": 16},
        "resources": {"gpusPerNode": 2},
    }
    spec = PaftJobSpec.model_validate(
        {
            "base": {"uri": "s3://models/base/"},
            "storage": {"artifactsUri": "s3://paft/a/"},
            "sft": arm | {"data": {"train": [{"uri": "s3://data/a.jsonl", "format": "messages"}]}},
            "preference": arm | {"data": {"train": [{"uri": "s3://data/b.jsonl", "format": "preference"}]}},
            "merge": {"output": {"uri": "s3://models/out/"} | output, "candidates": []},
        },
        strict=False,
    )
    return estimate_job(spec, tiny_base(), SIZES, Hardware(memory=80 * 10**9, flops=1e12))


def test_every_stage_is_told() -> None:
    assert estimate().flows == (
        Flow(stage="prepare", what="base, unless it is indexed already", read=BASE),
        Flow(stage="prepare", what="rows of sft", read=10_000),
        Flow(stage="prepare", what="rows of preference", read=14_000),
        Flow(stage="sft", what="base", read=BASE),
        Flow(stage="sft", what="rows", read=10_000),
        Flow(stage="sft", what="3 checkpoints", written=3 * 3 * ADAPTER),
        Flow(stage="sft", what="adapter", read=ADAPTER, written=ADAPTER),
        Flow(stage="preference", what="base", read=BASE),
        Flow(stage="preference", what="rows", read=14_000),
        Flow(stage="preference", what="3 checkpoints", written=3 * 3 * ADAPTER),
        Flow(stage="preference", what="adapter", read=ADAPTER, written=ADAPTER),
        Flow(stage="merge", what="adapters", read=2 * ADAPTER),
        Flow(stage="merge", what="base", read=BASE),
        Flow(stage="merge", what="merged checkpoint", written=BASE),
    )


@pytest.mark.parametrize(
    ("output", "written"),
    [({"form": "Adapter"}, 2 * ADAPTER), ({"form": "Adapter", "rank": 1}, ADAPTER // 2), ({"form": "Recipe"}, None)],
)
def test_other_forms_read_no_base(output: dict[str, object], written: int | None) -> None:
    flows = [flow for flow in estimate(**output).flows if flow.stage == "merge"]
    assert flows[0] == Flow(stage="merge", what="adapters", read=2 * ADAPTER)
    assert flows[1:] == ([] if written is None else [Flow(stage="merge", what="merged adapter", written=written)])


def test_time_is_work_over_the_rate_of_all_processes() -> None:
    sft = estimate().arms["sft"]
    assert sft.seconds == pytest.approx(sft.work.flops / 2e12)
    assert sft.gpu_hours == pytest.approx(sft.work.flops / 1e12 / 3600)
