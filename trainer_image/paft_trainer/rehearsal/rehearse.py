"""The course of a dry run: read and check as a merge does, look at its folders, merge a sample, and add up."""

from collections.abc import Callable, Sequence
from typing import Any

from paft_api.rehearsal import (
    FolderState,
    InterferenceFigures,
    LayerInterference,
    Rehearsal,
    RehearsedMerge,
    Sample,
)
from paft_api.run_spec import MergeRun, RunSpec
from paft_trainer.base.index import known_index
from paft_trainer.merge.inputs import MergeInputs, needs_base_digest, read_headers, require_prepared, with_base
from paft_trainer.merge.interference import interference_report
from paft_trainer.merge.stage import MOST_WARNINGS
from paft_trainer.peak_memory import peak_memory_bytes
from paft_trainer.rehearsal.folders import PlannedFolder, plan_folders
from paft_trainer.rehearsal.sample import Measured, measure
from paft_trainer.rehearsal.sizes import Sizes, sizes_of
from paft_trainer.storage import ObjectStore, open_run_store


def rehearse(run_spec: RunSpec, *, tell: Callable[[str], None]) -> Rehearsal:
    """What the merge would do; nothing is claimed or written. `tell`: takes lines about waiting for the store.

    Raises StageError where the merge would before it spends anything.
    """
    merge = run_spec.merge
    assert merge is not None
    store = open_run_store(run_spec, on_wait=tell)
    inputs, is_base_known = _inputs(store, run_spec, merge)
    folders = plan_folders(store, run_spec, merge, inputs)
    sizes = sizes_of(store, run_spec, merge, inputs, folders)
    unfinished = [one for one in folders if one.state is not FolderState.FINISHED]
    measured = measure(store, inputs, unfinished) if unfinished else None
    merges = [_rehearsed(one, sizes, index, unfinished, measured) for index, one in enumerate(folders)]
    checked = 0 if is_base_known else sum(tensor.entry.size for tensor in inputs.base.tensors)
    is_estimated = measured is not None and merge.spec.output.form == "Full"
    return Rehearsal(
        base=run_spec.base.uri,
        merged_tensors=len(inputs.merged_names),
        copied_tensors=len(inputs.base.tensors) - len(inputs.merged_names) - len(folders[0].replaced),
        merges=tuple(merges),
        bytes_read=sizes.read + checked,
        bytes_written=sum(sizes.written),
        sample=_sample(measured) if measured is not None else None,
        seconds=_seconds(measured, sizes, checked) if measured is not None and is_estimated else None,
        peak_memory_bytes=peak_memory_bytes() if is_estimated else None,
        notes=tuple(_notes(run_spec, merge, inputs, unfinished, is_base_known=is_base_known)),
    )


def _inputs(store: ObjectStore, run_spec: RunSpec, merge: MergeRun) -> tuple[MergeInputs, bool]:
    """What the merge reads, and False where it would have to read the base's weights to know which base it is.

    Then the base is taken for the one that it must be.
    """
    inputs = read_headers(store, run_spec, merge)
    if not needs_base_digest(run_spec, inputs):
        return inputs, True
    index = known_index(store, run_spec.base.uri, run_spec.storage.artifacts_uri)
    if index is not None:
        require_prepared(run_spec, index.digest)
        return with_base(inputs, index.digest), True
    named = (run_spec.base_digest, *(adapter.base_digest for adapter in inputs.adapters.values()))
    return with_base(inputs, next(digest for digest in named if digest is not None)), False


def _rehearsed(
    folder: PlannedFolder, sizes: Sizes, index: int, unfinished: Sequence[PlannedFolder], measured: Measured | None
) -> RehearsedMerge:
    found: dict[str, Any] = {}
    if measured is not None and folder in unfinished:
        figures = measured.figures[unfinished.index(folder)]
        report = interference_report(folder.options, figures, replaced=folder.replaced)
        found = {
            "sampled": InterferenceFigures.model_validate(report["model"]),
            "layers": tuple(LayerInterference.model_validate(layer) for layer in report["layers"]),
            "warnings": tuple(report["warnings"][:MOST_WARNINGS]),
        }
    return RehearsedMerge(
        name=folder.name,
        uri=folder.uri,
        method=folder.options.method,
        recipe_digest=folder.recipe_digest,
        state=folder.state,
        shards=len(sizes.shards),
        shards_left=len(folder.left(sizes.shards)),
        bytes_written=sizes.written[index],
        bytes_compared=sizes.compared[index],
        **found,
    )


def _sample(measured: Measured) -> Sample:
    return Sample(
        layers=measured.layers,
        tensors=len(measured.tensors),
        merged_bytes=measured.merged_bytes,
        merged_seconds=measured.merged_seconds,
        copied_bytes=measured.copied_bytes,
        copied_seconds=measured.copied_seconds,
    )


def _seconds(measured: Measured, sizes: Sizes, checked: int) -> float:
    """Bytes by the seconds that each kind took in the sample; what is only read passes as fast as what is copied."""
    merging = measured.merged_seconds / measured.merged_bytes
    copying = measured.copied_seconds / measured.copied_bytes if measured.copied_bytes else merging
    return sizes.merged * merging + (sizes.copied + sum(sizes.compared) + checked) * copying


def _notes(
    run_spec: RunSpec, merge: MergeRun, inputs: MergeInputs, unfinished: Sequence[PlannedFolder], *, is_base_known: bool
) -> list[str]:
    notes = []
    if not unfinished:
        return ["Every folder has its merge already; a merge would write nothing."]
    if merge.spec.output.form == "Full":
        notes += [
            "Time is that of the sample, by bytes of the base, on this machine as it is now: reading, merging and "
            "hashing. Not included are the speed of writing, which was not tried, the start of the process, and "
            "compiling kernels on a machine that has not merged yet.",
            "Memory is the peak of the process that merged the sample, adapters included. Chunks that wait to be "
            "written add some tens of MB, and an object store a buffer of one upload part for each merge.",
        ]
    else:
        notes.append(f"Time and memory are not estimated for the form {merge.spec.output.form}.")
    notes += [
        f"densityScope Model ({one.name or 'the merge itself'}): thresholds here are those of the sample's entries; a "
        "merge takes them among all tensors."
        for one in unfinished
        if one.options.resolved().get("densityScope") == "Model"
    ]
    if not is_base_known:
        notes.append(
            f"An adapter was trained on the base {inputs.base_digest}. Nobody has read {run_spec.base.uri} here yet to "
            "tell whether it is that one: the merge does so first, which is in the bytes and in the time."
        )
    notes.append("The output's folder was listed. Whether it may be written to was not tried.")
    return notes
