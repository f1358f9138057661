"""From a report's numbers to texts."""

from datetime import UTC, datetime

from paft_api.report import Activity, Progress, ReportState, StageReport
from paft_api.run_spec import StageIdentity
from paft_api.stages import StageName
from paft_operator.planner.progress import progress_fields


def message_of(progress: Progress) -> object:
    identity = StageIdentity(
        job_name="job", job_namespace="default", job_uid="uid", generation=1, stage=StageName.PREPARE, attempt=1
    )
    report = StageReport(identity=identity, state=ReportState.RUNNING, updated_at=datetime.now(UTC), progress=progress)
    return progress_fields(report)["message"]


def test_how_far_a_base_is_read_is_in_the_message() -> None:
    reading = Progress(activity=Activity.INDEXING, bytes_done=35_000_000_000, bytes_total=140_000_000_000)
    assert message_of(reading) == "Indexing the base: 25% of 140.0 GB"
    assert message_of(Progress(activity=Activity.CHECKING)) == "Checking"
