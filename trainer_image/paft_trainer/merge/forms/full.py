"""output.form Full: fused checkpoints, of the merge and all its candidates, in one pass over the base."""

from collections.abc import Mapping, Sequence

from paft_api.report import Activity
from paft_trainer.base.identity import base_digest as base_digest_of
from paft_trainer.base.identity import hash_identity_files
from paft_trainer.base.open_pieces import print_notice
from paft_trainer.base.store_pieces import StorePieces
from paft_trainer.merge.available_arithmetic import available_arithmetic
from paft_trainer.merge.base_hashes import BaseHashes
from paft_trainer.merge.checkpoint import CheckpointWriter, Fusion
from paft_trainer.merge.interference import interference_report
from paft_trainer.merge.merge_task import MergeTask, PlannedMerge
from paft_trainer.merge.methods import method_of
from paft_trainer.merge.progress import MergeProgress
from paft_trainer.merge.recipe import with_base_digest
from paft_trainer.merge.shards import Shard, SourceTensor, plan_shards
from paft_trainer.merge.tensor_arms import arms_of_tensors


def write_checkpoints(task: MergeTask, planned: Sequence[PlannedMerge]) -> None:
    """Write everything; `config.json` after the weights, so that stock readers see nothing half-written."""
    inputs = task.inputs
    shards = plan_shards(inputs.base.tensors, max_shard_bytes=task.merge.spec.output.max_shard_bytes)
    fusions = [
        Fusion(
            method=method_of(one.options),
            arms=arms_of_tensors(one.options, inputs),
            output=one.output,
            recipe_digest=one.recipe["recipeDigest"],
            replaced=one.replaced,
        )
        for one in planned
    ]
    for one in planned:
        one.output.find_shards(one.recipe["recipeDigest"])
    known = {name: sha256 for one in planned for name, sha256 in one.output.base_hashes.items()}
    with BaseHashes(known) as hashes:
        writer = CheckpointWriter(
            store=task.store,
            arithmetic=available_arithmetic(),
            # Nothing is computed where no arm has anything: the bytes are the base's.
            merged=inputs.changed_names,
            progress=MergeProgress(task.reporter, inputs.base.tensors, done=_written(shards, planned)).advance,
            hashes=hashes if inputs.base_digest is None else None,
            pieces=_pieces(task),
        )
        writer.write(shards, fusions)
    base_digest = inputs.base_digest or _digest_of_base(task, hashes.sha256)
    task.reporter.update(activity=Activity.PUBLISHING)
    for one, fusion in zip(planned, fusions, strict=True):
        one.recipe = with_base_digest(one.recipe, task.run_spec, task.merge, one.options, inputs, base_digest)
        _publish(task, shards, one, fusion)


def _pieces(task: MergeTask) -> StorePieces | None:
    pieces = task.inputs.pieces
    if pieces is None:
        return None
    return StorePieces(task.store, task.run_spec.base.uri, pieces, on_notice=print_notice)


def _written(shards: Sequence[Shard], planned: Sequence[PlannedMerge]) -> list[SourceTensor]:
    """Tensors that an interrupted run has written for all merges."""
    return [
        tensor
        for shard in shards
        if all(one.output.has_shard(shard.name) for one in planned)
        for tensor in shard.tensors
    ]


def _digest_of_base(task: MergeTask, sha256: Mapping[str, str]) -> str:
    base = task.inputs.base
    tensors = {
        tensor.entry.name: [tensor.entry.dtype, list(tensor.entry.shape), sha256[tensor.entry.name]]
        for tensor in base.tensors
    }
    return base_digest_of(tensors, hash_identity_files(task.store, task.run_spec.base.uri, base.files.others))


def _publish(task: MergeTask, shards: Sequence[Shard], planned: PlannedMerge, fusion: Fusion) -> None:
    inputs, output, base = task.inputs, planned.output, task.run_spec.base
    figures = [fusion.figures[name] for name in sorted(fusion.figures)]
    report = interference_report(planned.options, figures, replaced=planned.replaced)
    planned.take_warnings(report)
    known = {} if inputs.index is None else {file.name: file.sha256 for file in inputs.index.files}
    output.copy_base_files(base, inputs.base.files.others, known)
    output.write_interference(report)
    output.write_card(planned.recipe)
    output.write_index(shards)
    output.copy_configuration(base.uri, known)
    merged = len(inputs.merged_names)
    planned.finish(
        claimed_digest=fusion.recipe_digest,
        merged_tensors=merged,
        copied_tensors=len(inputs.base.tensors) - merged - len(planned.replaced),
    )
