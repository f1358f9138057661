"""From a report's numbers to the texts of a stage's status."""

from paft_api.durations import format_duration
from paft_api.report import Activity, Progress, StageReport


def progress_fields(report: StageReport | None) -> dict[str, object]:
    """Fields of StageStatus that a report knows; nothing without one."""
    if report is None:
        return {}
    progress = report.progress
    fields: dict[str, object] = {
        "step": progress.step,
        "total_steps": progress.total_steps,
        "progress": _fraction(progress),
        "loss": _number(progress.loss, 4),
        "sparsity": _number(progress.sparsity.delta_small, 3) if progress.sparsity is not None else None,
        "reward_margin": _number(progress.reward_margin, 4),
        "tokens_per_second": _number(progress.tokens_per_second, 4),
        "eta": format_duration(progress.eta_seconds) if progress.eta_seconds is not None else None,
        "message": _message(progress),
        "warnings": progress.warnings,
    }
    return {name: value for name, value in fields.items() if value is not None}


def _fraction(progress: Progress) -> str | None:
    if progress.step is None or progress.total_steps is None:
        return None
    return f"{progress.step}/{progress.total_steps}"


def _message(progress: Progress) -> str:
    if progress.waiting_for is not None:
        return progress.waiting_for
    if progress.activity is Activity.INDEXING and progress.bytes_done is not None and progress.bytes_total:
        share = progress.bytes_done / progress.bytes_total
        return f"Indexing the base: {share:.0%} of {progress.bytes_total / 1e9:.1f} GB"
    return progress.activity.value


def _number(value: float | None, digits: int) -> str | None:
    return None if value is None else f"{value:.{digits}g}"
