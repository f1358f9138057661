"""What `paft storage` found and did, for people."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from paft_api.durations import format_duration
from paft_api.stages import ARMS
from paft_api.storage_survey import CleanUp, FolderState, StorageItem, StorageSurvey, SurveyedFolder
from paft_cli.tables import aligned, format_bytes

_DIGEST_CHARACTERS = 12


def survey_text(survey: StorageSurvey, *, now: datetime) -> str:
    """Folders, what is not proven to be over, and what can go."""
    parts = []
    if survey.folders:
        header = ("STAGE", "DIGEST", "STATE", "ATTEMPTS", "CHECKPOINTS", "SIZE", "UPLOADS", "AGE", "WHERE")
        parts.append(aligned([header, *(_row(folder, now) for folder in survey.folders)]))
        parts += [line for folder in survey.folders for line in _not_over(folder)]
    if survey.index_entries:
        parts.append(f"index: {_counted(survey.index_entries, 'entry', 'entries')}, {format_bytes(survey.index_bytes)}")
    if not parts:
        return "nothing of PAFT's is there"
    going = [item for item in survey.items if item.remove]
    if going:
        parts.append(f"paft storage gc can remove {_amount(going)}; with --dry-run it tells what and why")
    return "\n".join(parts)


def proposal_text(survey: StorageSurvey) -> str:
    """What would be removed, and why; then what stays, and why."""
    going, staying = _split(survey.items)
    stays = [_table("STAYS", staying)] if staying else []
    if not going:
        return "\n\n".join(["nothing to remove", *stays])
    summary = f"{_amount(going)} would be removed; nothing was changed"
    return "\n\n".join([_table("WOULD REMOVE", going), *stays, summary])


def clean_up_text(done: CleanUp) -> str:
    """What was removed, and why."""
    if not done.removed:
        return "nothing to remove"
    return "\n\n".join([_table("REMOVED", done.removed), f"{_amount(done.removed)} removed"])


def _row(folder: SurveyedFolder, now: datetime) -> Sequence[str]:
    digest = (folder.digest or "").removeprefix("sha256:")[:_DIGEST_CHARACTERS]
    return (
        folder.stage.value,
        digest,
        folder.state.value,
        str(len(folder.attempts)),
        str(folder.checkpoints) if folder.stage in ARMS else "",
        format_bytes(folder.bytes),
        str(folder.uploads),
        format_duration((now - folder.started_at).total_seconds()) if folder.started_at is not None else "",
        folder.uri,
    )


def _not_over(folder: SurveyedFolder) -> Iterable[str]:
    if folder.state is FolderState.FINISHED:
        return
    for attempt in folder.attempts:
        if attempt.over is None:
            whose = f" of {attempt.job}" if attempt.job is not None else ", which has no marker,"
            yield f"{folder.stage}: attempt {attempt.name}{whose} is not proven to be over"


def _split(items: Iterable[StorageItem]) -> tuple[list[StorageItem], list[StorageItem]]:
    listed = list(items)
    return [item for item in listed if item.remove], [item for item in listed if not item.remove]


def _table(title: str, items: Iterable[StorageItem]) -> str:
    rows = [
        (item.kind.value, format_bytes(item.bytes) if item.bytes is not None else "", item.uri, item.why)
        for item in items
    ]
    return aligned([(title, "SIZE", "WHERE", "WHY"), *rows])


def _amount(items: Sequence[StorageItem]) -> str:
    return f"{_counted(len(items), 'thing', 'things')}, {format_bytes(sum(item.bytes or 0 for item in items))}"


def _counted(count: int, one: str, several: str) -> str:
    return f"{count} {one if count == 1 else several}"
