"""The course of a merge: read and check, claim, write, and the manifest last."""

import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import TYPE_CHECKING

from paft_api.layout import candidate_folder
from paft_api.report import Activity, FinishedArtifact, MergeCandidateResult, MergeResult
from paft_api.run_spec import RunSpec
from paft_api.spec.merge import MergeCandidate, MergeOptions
from paft_trainer.compilations import numba_told
from paft_trainer.keeping.marked_attempt import best_effort
from paft_trainer.keeping.merge_attempts import clean_up_after, marked_merge_attempt
from paft_trainer.merge.available_arithmetic import available_arithmetic
from paft_trainer.merge.forms import FORMS
from paft_trainer.merge.freed_memory import keep_freed_memory
from paft_trainer.merge.inputs import read_inputs
from paft_trainer.merge.merge_task import MergeTask, PlannedMerge
from paft_trainer.merge.output import OutputFolder
from paft_trainer.merge.recipe import claim_output, make_recipe
from paft_trainer.merge.saved_tensors import replacements
from paft_trainer.merge.streamed_names import streamed_names
from paft_trainer.merge.warm_up import begin_warm_up
from paft_trainer.peak_memory import peak_memory_bytes
from paft_trainer.stage_store import open_impatient_store, open_stage_store
from paft_trainer.storage import ObjectMissing, UploadMissing
from paft_trainer.tracking.trackers import Trackers, open_trackers

if TYPE_CHECKING:
    from paft_trainer.reporting import Reporter

MOST_WARNINGS = 20


def run(run_spec: RunSpec, reporter: "Reporter") -> MergeResult:
    """Merge and publish. Started again after an interruption it writes the same bytes. Raises StageError."""
    with numba_told(reporter), _trackers(run_spec) as trackers:
        result = _run(run_spec, reporter)
        if trackers is not None:
            trackers.log(_tracked(result), step=0)
    return result


def _trackers(run_spec: RunSpec) -> AbstractContextManager[Trackers | None]:
    """None for a merge that is part of no job."""
    assert run_spec.merge is not None
    if run_spec.stage_digest is None:
        return nullcontext()
    return open_trackers(run_spec, first_step=0, configuration=run_spec.merge.spec.to_document())


def _tracked(result: MergeResult) -> dict[str, float]:
    """What trackers are told, by name."""
    numbers = {
        "merged_tensors": result.merged_tensors,
        "copied_tensors": result.copied_tensors,
        "bytes": result.bytes,
        "seconds": result.seconds,
        "peak_memory_bytes": result.peak_memory_bytes,
        "warnings": len(result.warnings),
    }
    return {f"merge/{name}": float(value) for name, value in numbers.items() if value is not None}


def _run(run_spec: RunSpec, reporter: "Reporter") -> MergeResult:
    assert run_spec.merge is not None
    started = time.monotonic()
    keep_freed_memory()
    store = open_stage_store(run_spec, reporter)
    reporter.update(activity=Activity.LOADING)
    begin_warm_up((run_spec.merge.spec, *run_spec.merge.spec.candidates), available_arithmetic())
    inputs = read_inputs(store, run_spec, run_spec.merge)
    task = MergeTask(store=store, run_spec=run_spec, merge=run_spec.merge, inputs=inputs, reporter=reporter)
    planned = [_plan(task, options) for options in (run_spec.merge.spec, *run_spec.merge.spec.candidates)]
    missing = [one for one in planned if one.finished is None]
    if missing:
        _write(task, missing)
    best_effort("what attempts at this merge left", lambda: clean_up_after(store, task.merge.spec.output.uri))
    return _result(planned, seconds=time.monotonic() - started)


def _plan(task: MergeTask, options: MergeOptions) -> PlannedMerge:
    """Claim a merge's folder, and see whether somebody has filled it."""
    folder = task.merge.spec.output.uri
    if isinstance(options, MergeCandidate):
        folder = candidate_folder(folder, options.name)
    replaced = replacements(options.method, task.inputs.base.entries, task.inputs.adapters)
    recipe = make_recipe(task.run_spec, task.merge, options, task.inputs)
    output = OutputFolder(task.store, folder)
    recipe = claim_output(task.store, task.run_spec, folder, recipe)
    finished = output.find_manifest()
    warnings: list[str] = []
    if finished is not None:
        # Whoever wrote the manifest may have been stopped before this.
        output.forget_shard_records()
        warnings = output.find_warnings(finished)
    return PlannedMerge(
        options=options,
        output=output,
        recipe=recipe,
        replaced=replaced,
        finished=finished,
        adopted=finished is not None,
        warnings=warnings,
    )


def _write(task: MergeTask, missing: Sequence[PlannedMerge]) -> None:
    """Fill the claimed folders. Where somebody else did so meanwhile, uploads of ours may be gone, and not missed."""
    output = task.merge.spec.output
    with marked_merge_attempt(
        task.store,
        output.uri,
        task.run_spec.identity,
        writes=streamed_names(task),
        end_store=partial(open_impatient_store, task.run_spec),
        in_cluster=task.run_spec.in_cluster,
    ):
        try:
            FORMS[output.form](task, missing)
        except (UploadMissing, ObjectMissing):
            for one in missing:
                one.finished = one.output.find_manifest()
                one.adopted = True
            if any(one.finished is None for one in missing):
                raise


def _result(planned: Sequence[PlannedMerge], *, seconds: float) -> MergeResult:
    main, *candidates = planned
    assert main.finished is not None
    return MergeResult(
        artifact=_artifact(main),
        recipe_digest=_recipe_digest(main),
        method=main.options.method,
        merged_tensors=main.finished["mergedTensors"],
        copied_tensors=main.finished["copiedTensors"],
        bytes=_bytes(main),
        seconds=seconds,
        peak_memory_bytes=peak_memory_bytes(),
        adopted=all(one.adopted for one in planned),
        candidates=tuple(
            MergeCandidateResult(
                name=one.options.name,
                artifact=_artifact(one),
                recipe_digest=_recipe_digest(one),
                method=one.options.method,
                bytes=_bytes(one),
            )
            for one in candidates
            if isinstance(one.options, MergeCandidate)
        ),
        warnings=tuple(main.warnings[:MOST_WARNINGS]),
    )


def _artifact(planned: PlannedMerge) -> FinishedArtifact:
    assert planned.finished is not None
    return FinishedArtifact(uri=planned.output.uri, digest=planned.finished["digest"])


def _recipe_digest(planned: PlannedMerge) -> str:
    assert planned.finished is not None
    return str(planned.finished["recipeDigest"])


def _bytes(planned: PlannedMerge) -> int:
    assert planned.finished is not None
    return sum(entry["size"] for entry in planned.finished["files"].values())
