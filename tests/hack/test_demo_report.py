import json
from io import StringIO
from pathlib import Path
from typing import Any

from hack.demo_report import adapter_metrics, adapter_table, finished_artifacts, merge_result, merge_table
from rich.console import Console
from tests.paft_api.complete_reports import METRICS, REPORT

from paft_api.report import FinishedArtifact
from paft_api.stages import StageName

DIGEST = "sha256:" + "0" * 64
ARTIFACT = FinishedArtifact(uri="s3://models/fused/", digest=DIGEST)


def test_artifacts_are_those_of_the_status(tmp_path: Path) -> None:
    stages = [
        {"name": name, "artifactUri": f"s3://paft/{name}/", "artifactDigest": DIGEST}
        for name in ("sft", "preference", "merge")
    ]
    (tmp_path / "status.json").write_text(json.dumps({"stages": stages}))

    artifacts = finished_artifacts(tmp_path)

    assert {name: artifact.uri for name, artifact in artifacts.items()} == {
        StageName.SFT: "s3://paft/sft/",
        StageName.PREFERENCE: "s3://paft/preference/",
        StageName.MERGE: "s3://paft/merge/",
    }


def test_the_merge_is_told_by_the_attempt_that_did_it(tmp_path: Path) -> None:
    _write_merge(tmp_path, 1, uri="s3://models/other/")
    _write_merge(tmp_path, 2, adopted=False, seconds=9.5)
    _write_merge(tmp_path, 10, adopted=True, seconds=0.1)

    assert merge_result(tmp_path, ARTIFACT).seconds == 9.5


def test_tables_show_the_numbers_of_the_reports(tmp_path: Path) -> None:
    _write_merge(tmp_path, 1, adopted=False, seconds=9.5)
    metrics = adapter_metrics(json.dumps({"metrics": METRICS}).encode())
    screen = StringIO()
    console = Console(file=screen, width=140)

    console.print(adapter_table({StageName.SFT: metrics}))
    console.print(merge_table(merge_result(tmp_path, ARTIFACT)))

    text = screen.getvalue()
    for shown in ("10", "2 → 1", "0 → 0.5", "50.0%, 50.0%", "100", "ties", "1 merged, 2 copied", "9.5", ARTIFACT.uri):
        assert shown in text, shown


def _write_merge(folder: Path, attempt: int, **changes: Any) -> None:
    artifact = {"uri": changes.pop("uri", ARTIFACT.uri), "digest": DIGEST}
    merge = REPORT["merge"] | {"artifact": artifact, "adopted": False} | changes
    path = folder / "attempts" / f"merge-{attempt}" / "report.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(REPORT | {"merge": merge}))
