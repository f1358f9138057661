"""The table at the end of the demo: from the job's status, the adapters' manifests and the report of the merge."""

import json
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from paft_api.layout import ADAPTER_MANIFEST_FILE
from paft_api.report import AdapterMetrics, FinishedArtifact, MergeResult, StageReport
from paft_api.stages import ARMS, StageName
from paft_api.status import PaftJobStatus

WIDTH = 140
"""Columns where there is no terminal."""


def finished_artifacts(job_directory: Path) -> dict[StageName, FinishedArtifact]:
    """What the arms and the merge of a finished job published."""
    status = PaftJobStatus.model_validate_json((job_directory / "status.json").read_text(encoding="utf-8"))
    artifacts = {}
    for name in (*ARMS, StageName.MERGE):
        stage = status.stage(name)
        assert stage.artifact_uri is not None
        assert stage.artifact_digest is not None
        artifacts[name] = FinishedArtifact(uri=stage.artifact_uri, digest=stage.artifact_digest)
    return artifacts


def print_report(client: Any, job_directory: Path) -> None:
    """Print what each arm and the merge did, in the attempt that did it."""
    artifacts = finished_artifacts(job_directory)
    console = Console(width=None if Console().is_terminal else WIDTH)
    adapters = {name: adapter_metrics(_read(client, artifacts[name].uri + ADAPTER_MANIFEST_FILE)) for name in ARMS}
    console.print(adapter_table(adapters))
    console.print(merge_table(merge_result(job_directory, artifacts[StageName.MERGE])))


def adapter_metrics(manifest: bytes) -> AdapterMetrics:
    """What an adapter's manifest says of its training."""
    return AdapterMetrics.model_validate_json(json.dumps(json.loads(manifest)["metrics"]))


def merge_result(job_directory: Path, artifact: FinishedArtifact) -> MergeResult:
    """The result of the attempt that made `artifact`, or of one that found it finished."""
    reports = [
        StageReport.model_validate_json(path.read_text(encoding="utf-8"))
        for path in job_directory.glob(f"attempts/{StageName.MERGE}-*/report.json")
    ]
    results = [report.merge for report in reports if report.merge is not None and report.merge.artifact == artifact]
    return min(results, key=lambda result: result.adopted)


def adapter_table(adapters: dict[StageName, AdapterMetrics]) -> Table:
    """One row per arm."""
    table = Table(title="Adapters")
    columns = ("arm", "steps", "loss", "reward margin", "eval loss", "small in ΔW", "zeros in A, B", "‖ΔW‖", "tokens/s")
    for column in columns:
        table.add_column(column)
    for name, metrics in adapters.items():
        sparsity = metrics.sparsity
        assert sparsity is not None
        table.add_row(
            name,
            str(metrics.steps),
            _change(metrics.first_loss, metrics.last_loss),
            _change(metrics.first_reward_margin, metrics.last_reward_margin),
            _number(metrics.eval_loss),
            f"{sparsity.delta_small:.1%}",
            f"{sparsity.a_zero:.1%}, {sparsity.b_zero:.1%}",
            _number(sparsity.delta_norm),
            _number(metrics.tokens_per_second),
        )
    return table


def merge_table(result: MergeResult) -> Table:
    """One row."""
    table = Table(title="Merge")
    for column in ("method", "tensors", "bytes", "seconds", "peak memory", "output"):
        table.add_column(column)
    table.add_row(
        result.method,
        f"{result.merged_tensors} merged, {result.copied_tensors} copied",
        f"{result.bytes:,}",
        "found finished" if result.adopted else f"{result.seconds:.1f}",
        f"{result.peak_memory_bytes / 2**20:.0f} MiB",
        result.artifact.uri,
    )
    return table


def _read(client: Any, uri: str) -> bytes:
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    content: bytes = client.get_object(Bucket=bucket, Key=key)["Body"].read()
    return content


def _change(first: float | None, last: float | None) -> str:
    return "–" if first is None and last is None else f"{_number(first)} → {_number(last)}"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"
