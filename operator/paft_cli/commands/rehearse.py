"""`paft merge --dry-run`: what the merge would do."""

import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from paft_api.durations import format_duration
from paft_api.rehearsal import FolderState, InterferenceFigures, Rehearsal, RehearsedMerge, Sample
from paft_api.stages import StageName
from paft_cli.commands.documents import print_document
from paft_cli.commands.merge import MergeArguments, run_spec_of
from paft_cli.commands.run import require_trainer
from paft_cli.errors import EXIT_FAILED
from paft_cli.local.directories import AttemptDirectory
from paft_cli.local.files import write_atomically
from paft_cli.merge_recipes.recipe_files import read_recipe
from paft_cli.tables import aligned, format_bytes

REHEARSAL_COMMAND = (sys.executable, "-P", "-m", "paft_trainer.rehearsal")
"""`--run-spec FILE` is appended. -P: modules in the current directory are not the trainer's."""

_STATES = {FolderState.FREE: "free", FolderState.BEGUN: "begun", FolderState.FINISHED: "has it already"}


def rehearse_merge(arguments: MergeArguments, *, as_json: bool, command: Sequence[str] = REHEARSAL_COMMAND) -> int:
    """Check, try a sample and print; returns the exit code. Raises CommandError for arguments that cannot work."""
    if command == REHEARSAL_COMMAND:
        require_trainer()
    recipe = read_recipe(arguments.recipe) if arguments.recipe is not None else None
    for note in recipe.notes if recipe is not None else ():
        print(f"{arguments.recipe}: {note}", file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory(prefix="paft-merge-") as folder:
        directory = AttemptDirectory(Path(folder), StageName.MERGE, 1)
        write_atomically(directory.run_spec_file, run_spec_of(arguments, recipe, directory).to_json())
        # What the trainer says while it waits, and its errors, go to stderr as they come.
        line = [*command, "--run-spec", str(directory.run_spec_file)]
        ended = subprocess.run(line, stdout=subprocess.PIPE, text=True, check=False)
    if ended.returncode != 0:
        return EXIT_FAILED
    rehearsal = Rehearsal.model_validate_json(ended.stdout)
    if as_json:
        print_document(rehearsal.to_document())
    else:
        print("\n\n".join(_text(rehearsal)))
    return 0


def _text(rehearsal: Rehearsal) -> Iterable[str]:
    yield "Dry run: nothing was claimed or written."
    tensors = f"{rehearsal.merged_tensors} tensors merged, {rehearsal.copied_tensors} copied"
    reads = f"{format_bytes(rehearsal.bytes_read)} read, {format_bytes(rehearsal.bytes_written)} written"
    rows = [("MERGE", "METHOD", "SHARDS", "WRITES", "FOLDER", ""), *(_row(one) for one in rehearsal.merges)]
    yield f"{rehearsal.base}: {tensors}; {reads}\n{aligned(rows)}"
    if rehearsal.sample is not None:
        yield "\n".join(_estimate(rehearsal, rehearsal.sample))
        yield aligned(list(_figures(rehearsal.merges)))
    warnings = [f"Warning ({_name(one)}): {warning}" for one in rehearsal.merges for warning in one.warnings]
    if warnings:
        yield "\n".join(warnings)
    yield "\n".join(rehearsal.notes)


def _name(merge: RehearsedMerge) -> str:
    return merge.name or "main"


def _row(merge: RehearsedMerge) -> tuple[str, ...]:
    shards = f"{merge.shards_left} of {merge.shards}" if merge.shards_left != merge.shards else str(merge.shards)
    return (
        _name(merge),
        merge.method,
        shards if merge.shards else "",
        format_bytes(merge.bytes_written),
        merge.uri,
        _STATES[merge.state],
    )


def _estimate(rehearsal: Rehearsal, sample: Sample) -> Iterable[str]:
    if rehearsal.seconds is not None and rehearsal.peak_memory_bytes is not None:
        memory = format_bytes(rehearsal.peak_memory_bytes)
        yield f"about {format_duration(rehearsal.seconds)} and {memory} of memory, without writing"
    what = f"layers {', '.join(map(str, sample.layers))}" if sample.layers else f"{sample.tensors} tensors"
    merged = f"{format_bytes(sample.merged_bytes)} merged at {_rate(sample.merged_bytes, sample.merged_seconds)}"
    copied = f", {format_bytes(sample.copied_bytes)} copied at {_rate(sample.copied_bytes, sample.copied_seconds)}"
    yield f"sample: {what}, {merged}{copied if sample.copied_bytes else ''}"


def _rate(count: int, seconds: float) -> str:
    return f"{format_bytes(round(count / seconds))}/s"


def _figures(merges: Sequence[RehearsedMerge]) -> Iterable[tuple[str, ...]]:
    yield ("MERGE", "LAYER", "NORM SFT", "NORM PREF", "COSINE", "OVERLAP", "CONFLICTS", "KEPT", "UNCHANGED", "LOST")
    for merge in merges:
        for layer in merge.layers:
            yield (_name(merge), str(layer.layer), *_cells(layer))
        if merge.sampled is not None:
            yield (_name(merge), "all", *_cells(merge.sampled))


def _cells(figures: InterferenceFigures) -> tuple[str, ...]:
    return (
        f"{figures.norm_sft:.3g}",
        f"{figures.norm_preference:.3g}",
        "" if figures.cosine is None else f"{figures.cosine:.3f}",
        _share(figures.support_overlap),
        _share(figures.sign_conflicts),
        _share(figures.norm_kept),
        _share(figures.zero_after_rounding),
        _share(figures.lost_to_rounding),
    )


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.1%}"
