"""A stage's status as the texts of one row."""

from paft_api.status import PaftJobStatus, StageState, StageStatus

HEADINGS = ("STAGE", "STATE", "ATTEMPT", "STEP", "LOSS", "SPARSITY", "MARGIN", "TOKENS/S", "GOODPUT", "ETA", "NOTE")


def stage_row(stage: StageStatus) -> tuple[str, ...]:
    """The cells under HEADINGS; what a stage does not have is empty."""
    return (
        stage.name.value,
        stage.state.value,
        str(stage.attempt) if stage.attempt else "",
        stage.progress or "",
        stage.loss or "",
        stage.sparsity or "",
        stage.reward_margin or "",
        stage.tokens_per_second or "",
        stage.goodput or "",
        stage.eta if stage.eta and stage.state is StageState.RUNNING else "",
        _note(stage),
    )


def status_rows(status: PaftJobStatus) -> list[tuple[str, ...]]:
    """The headings and one row per stage."""
    return [HEADINGS, *(stage_row(stage) for stage in status.stages)]


def one_line(stage: StageStatus) -> str:
    """A stage as one line of text."""
    parts = [
        stage.progress and f"step {stage.progress}",
        stage.loss and f"loss {stage.loss}",
        stage.sparsity and f"sparsity {stage.sparsity}",
        stage.reward_margin and f"margin {stage.reward_margin}",
        stage.tokens_per_second and f"{stage.tokens_per_second} tokens/s",
        stage.eta and f"ETA {stage.eta}",
        _note(stage),
    ]
    return f"{stage.name:<10}  {stage.state:<9}  " + "  ".join(part for part in parts if part)


def _note(stage: StageStatus) -> str:
    if stage.state in (StageState.WAITING, StageState.FAILED) and stage.cause is not None:
        return f"{stage.cause}: {stage.message}"
    return stage.message if stage.state in (StageState.RUNNING, StageState.SUCCEEDED) else ""
