"""An attempt's report, if it is one: written by the pod, hence by whoever owns the image."""

from functools import lru_cache

from pydantic import ValidationError

from paft_api.report import StageReport
from paft_operator.observing.records import ReportRecord

NOT_A_REPORT = "it is not a report"
OF_ANOTHER = "it carries the identity of another attempt"


def read_report(record: ReportRecord | None, *, job_uid: str) -> StageReport | None:
    """The attempt's own report; None where there is none yet, or what is there is not its own."""
    if record is None or why_ignored(record, job_uid=job_uid) is not None:
        return None
    return _parsed(record.text)


def why_ignored(record: ReportRecord, *, job_uid: str) -> str | None:
    """Why what an attempt wrote is no report of its own; None where it is, or where it has not written yet."""
    if not record.text:
        return None
    report = _parsed(record.text)
    if report is None:
        return NOT_A_REPORT
    identity = report.identity
    own = (record.namespace, record.job_name, job_uid, record.stage, record.attempt)
    told = (identity.job_namespace, identity.job_name, identity.job_uid, identity.stage, identity.attempt)
    return None if told == own else OF_ANOTHER


@lru_cache(maxsize=512)
def _parsed(text: str) -> StageReport | None:
    try:
        return StageReport.model_validate_json(text)
    except ValidationError:
        return None
