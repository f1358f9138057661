"""`paft data preview FILE`: what becomes of a job's rows. Reads only."""

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from paft_api.spec import PaftJob
from paft_api.spec.arm import ArmSpec
from paft_api.spec.data import DataSource
from paft_api.stages import ARMS, StageName
from paft_cli.base_reading import open_job_store
from paft_cli.commands.documents import print_document
from paft_cli.commands.job_files import read_job
from paft_cli.commands.run import require_trainer
from paft_cli.errors import EXIT_FAILED, CommandError
from paft_cli.tables import aligned

if TYPE_CHECKING:
    from paft_trainer.data.preview import Counts, PreviewedRow, Run, SourcePreview

LONGEST_RUN = 400
"""Characters of a run that are printed."""

BAR = 40
"""Characters of the longest bar of a histogram."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PreviewArguments:
    """The command line, as it was given."""

    arm: StageName | None
    source: int | None
    evaluation: bool
    rows: int
    count: int


@dataclass(frozen=True, kw_only=True, slots=True)
class _Place:
    """A source in the job file."""

    arm: StageName
    spec: ArmSpec
    field: str
    source: DataSource


def show_preview(file: Path, arguments: PreviewArguments, *, as_json: bool) -> None:
    """Print what becomes of the rows. Raises CommandError for what cannot be read."""
    job = read_job(file)
    places = _places(job, arguments)
    require_trainer()
    from paft_trainer.errors import StageError
    from paft_trainer.no_accelerator import use_no_accelerator
    from paft_trainer.storage import StorageUnavailable

    use_no_accelerator()
    try:
        previews = _read(job, places, arguments)
    except StorageUnavailable as error:
        raise CommandError(f"{error.message}\n  {error.remedy}", exit_code=EXIT_FAILED) from error
    except StageError as error:
        raise CommandError(f"{error.message}\n  {error.remedy}") from error
    if as_json:
        documents = [_document(place, preview) for place, preview in zip(places, previews, strict=True)]
        print_document({"sources": documents})
        return
    texts = ("\n".join(_text(place, preview)) for place, preview in zip(places, previews, strict=True))
    print("\n\n".join(texts))


def _places(job: PaftJob, arguments: PreviewArguments) -> list[_Place]:
    rows = "eval" if arguments.evaluation else "train"
    places = []
    for arm in ARMS if arguments.arm is None else (arguments.arm,):
        spec = job.spec.sft if arm is StageName.SFT else job.spec.preference
        sources: Sequence[DataSource] = getattr(spec.data, rows)
        for index, source in enumerate(sources):
            if arguments.source in (None, index):
                places.append(_Place(arm=arm, spec=spec, field=f"{arm}.data.{rows}[{index}]", source=source))
    if not places:
        number = "" if arguments.source is None else f" number {arguments.source}"
        raise CommandError(f"the job has no source{number} in data.{rows} of {arguments.arm or 'either arm'}")
    return places


def _read(job: PaftJob, places: Sequence[_Place], arguments: PreviewArguments) -> "list[SourcePreview]":
    from paft_trainer.checkpoint_files import find_checkpoint_files
    from paft_trainer.data.loss_mask import loss_mask_of
    from paft_trainer.data.preview import preview_source
    from paft_trainer.prepare.base_model_checks import open_tokenizer

    base, store = job.spec.base, open_job_store(job.spec)
    with tempfile.TemporaryDirectory(prefix="paft-preview-") as folder:
        for name in find_checkpoint_files(store, base.uri).others:
            (Path(folder) / name).write_bytes(store.read(base.uri + name))
        tokenizer = open_tokenizer(base, Path(folder))
    return [
        preview_source(
            store,
            place.source,
            tokenizer,
            max_length=place.spec.training.max_length,
            shown=arguments.rows,
            counted=arguments.count,
            max_bad_rows=place.spec.data.max_bad_rows,
            mask=loss_mask_of(place.spec),
        )
        for place in places
    ]


def _document(place: _Place, preview: "SourcePreview") -> dict[str, Any]:
    counts = preview.counts
    return {
        "source": place.field,
        "uri": place.source.uri,
        "format": place.source.format,
        "maxLength": place.spec.training.max_length,
        "rowsCounted": counts.rows,
        "allRows": preview.complete,
        "wrongRows": preview.bad_rows.count,
        "rowsWithoutLearning": counts.without_learning,
        "tokens": counts.tokens,
        "cutSequences": counts.cut_sequences,
        "lostLearntTokens": counts.lost_learning,
        "lengths": [{"from": first, "to": last, "sequences": number} for first, last, number in _histogram(counts)],
        "rows": [
            {
                "place": row.place,
                "usable": row.usable,
                "sequences": {
                    name: [{"kind": run.kind, "ids": run.ids, "pieces": run.pieces} for run in runs]
                    for name, runs in row.runs.items()
                },
            }
            for row in preview.rows
        ],
    }


def _text(place: _Place, preview: "SourcePreview") -> Iterator[str]:
    counts, limit = preview.counts, place.spec.training.max_length
    which = "" if preview.complete else "the first "
    yield f"{place.field}: {place.source.uri}, {place.source.format}; {which}{counts.rows:,} rows"
    for row in preview.rows:
        yield from _row(row)
    tokens = sum(counts.tokens.values())
    learnt, masked, cut = counts.tokens["learnt"], counts.tokens["masked"], counts.tokens["cut"]
    shares = f"{_share(learnt, tokens)} learnt, {_share(masked, tokens)} masked, {_share(cut, tokens)} cut"
    yield f"  {tokens:,} tokens: {shares}"
    yield (
        f"  cut at maxLength {limit}: {_share(counts.cut_sequences, len(counts.lengths))} of the sequences, and with "
        f"them {_share(counts.lost_learning, learnt + counts.lost_learning)} of what would be learnt"
    )
    if counts.without_learning:
        yield f"  left out, as nothing is to be learnt within maxLength: {counts.without_learning:,}"
    if preview.bad_rows.count:
        yield f"  left out, as they are wrong: {preview.bad_rows.count:,}: {'; '.join(preview.bad_rows.first)}"
    yield from _bars(counts, limit)


def _row(row: "PreviewedRow") -> Iterator[str]:
    yield f"  {row.place}{'' if row.usable else ' (nothing to learn: left out)'}"
    for name, runs in row.runs.items():
        if name != "row":
            yield f"    {name}:"
        yield from (f"    {run.kind:<6} {len(run.ids):>5}  {_shown(run)}" for run in runs)


def _shown(run: "Run") -> str:
    """The tokens of a run in one line, a bar between each two."""
    text = "|".join(run.pieces).replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r").replace("\t", "\\t")
    return text if len(text) <= LONGEST_RUN else f"{text[: LONGEST_RUN // 2]} … {text[-LONGEST_RUN // 2 :]}"


def _bars(counts: "Counts", limit: int) -> Iterator[str]:
    histogram = _histogram(counts)
    if not histogram:
        return
    most = max(number for _, _, number in histogram)
    rows = [("  TOKENS", "SEQUENCES", "")]
    for first, last, number in histogram:
        cut = "  longer than maxLength" if first > limit else ""
        rows.append((f"  {first}-{last}", f"{number:,}", "█" * -(-BAR * number // most) + cut))
    yield aligned(rows)


def _histogram(counts: "Counts") -> list[tuple[int, int, int]]:
    """First and last length, and number of sequences, from each power of two to the next."""
    found: dict[int, int] = {}
    for length in counts.lengths:
        power = max(length - 1, 0).bit_length()
        found[power] = found.get(power, 0) + 1
    return [
        ((1 << power - 1) + 1 if power else 1, 1 << power, found.get(power, 0))
        for power in range(min(found, default=0), max(found, default=-1) + 1)
    ]


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else "0.0%"
