"""What prepare reports while it reads a base."""

from pathlib import Path

import pytest
from tests.paft_trainer.prepare.jobs import prepare_run_spec
from tests.run_specs import write_sums
from tests.tiny_models import build_checkpoint

from paft_api.report import Activity, StageReport
from paft_api.spec.storage import StorageSpec
from paft_trainer import prepare, reporting
from paft_trainer.reporting import Reporter


class Reports:
    def __init__(self) -> None:
        self.seen: list[StageReport] = []

    def write(self, report: StageReport) -> None:
        self.seen.append(report)


def test_bytes_of_the_base_are_told_while_it_is_read_and_only_then(
    local_storage: StorageSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reporting, "WRITE_INTERVAL_SECONDS", 0.0)
    base = build_checkpoint(tmp_path / "base", max_shard_size="60KB")
    write_sums(tmp_path)
    run_spec = prepare_run_spec(tmp_path, local_storage.to_document())
    size = sum(path.stat().st_size for path in base.iterdir())
    for is_first in (True, False):
        reports = Reports()
        prepare.run(run_spec, Reporter(run_spec.identity, reports))
        told = [report.progress for report in reports.seen if report.progress.activity is Activity.INDEXING]
        done = [progress.bytes_done for progress in told]
        assert {progress.bytes_total for progress in told} == ({size} if is_first else set())
        assert done == sorted(done)
        assert done[-1:] == ([size] if is_first else [])
        last = reports.seen[-1].progress
        assert (last.activity, last.bytes_done, last.bytes_total) == (Activity.CHECKING, None, None)
