"""How many bytes a merge reads and writes, from headers and listings."""

from collections.abc import Sequence
from dataclasses import dataclass

from paft_api.rehearsal import FolderState
from paft_api.run_spec import MergeRun, RunSpec
from paft_trainer.adapters import WEIGHTS_FILE
from paft_trainer.merge.inputs import CONFIGURATION_FILE, MergeInputs
from paft_trainer.merge.output import copied_names
from paft_trainer.merge.shards import Shard, plan_shards
from paft_trainer.rehearsal.folders import PlannedFolder
from paft_trainer.safetensors_files import encode_header
from paft_trainer.storage import ObjectStore


@dataclass(frozen=True, kw_only=True, slots=True)
class Sizes:
    """Bytes, for all merges together but `written`, which is by merge.

    `merged`, `copied`: of the base, in shards that some merge has not yet; `others`: its other files that are copied,
    once for each merge; `adapters`: both; `compared`: shards of an interrupted merge, by merge.
    """

    shards: tuple[Shard, ...]
    merged: int
    copied: int
    others: int
    adapters: int
    compared: tuple[int, ...]
    written: tuple[int, ...]

    @property
    def read(self) -> int:
        """All that is read, but for the base's weights where they are read once more to know them."""
        return self.merged + self.copied + self.others + self.adapters + sum(self.compared)


def sizes_of(
    store: ObjectStore, run_spec: RunSpec, merge: MergeRun, inputs: MergeInputs, merges: Sequence[PlannedFolder]
) -> Sizes:
    """Of what is left to be done."""
    is_full = merge.spec.output.form == "Full"
    max_shard_bytes = merge.spec.output.max_shard_bytes
    shards = plan_shards(inputs.base.tensors, max_shard_bytes=max_shard_bytes) if is_full else ()
    wanted = {shard.name: shard for one in merges for shard in one.left(shards)}
    tensors = [tensor for shard in wanted.values() for tensor in shard.tensors]
    merged = sum(one.entry.size for one in tensors if one.entry.name in inputs.merged_names)
    others = _other_bytes(store, run_spec, inputs) if is_full else 0
    unfinished = [one for one in merges if one.state is not FolderState.FINISHED]
    return Sizes(
        shards=shards,
        merged=merged,
        copied=sum(one.entry.size for one in tensors) - merged,
        others=others * len(unfinished),
        adapters=sum(_size(store, adapter.uri + WEIGHTS_FILE) for adapter in inputs.adapters.values()),
        compared=tuple(sum(one.held.values()) for one in merges),
        written=tuple(_weights(merge, inputs, one, shards) + others if one in unfinished else 0 for one in merges),
    )


def _other_bytes(store: ObjectStore, run_spec: RunSpec, inputs: MergeInputs) -> int:
    """Files of the base that the output has beside its weights, and the job's chat template."""
    base = run_spec.base
    names = {*copied_names(base, inputs.base.files.others), CONFIGURATION_FILE}
    listed = sum(info.size for info in store.list(base.uri) if info.uri.removeprefix(base.uri) in names)
    return listed + len((base.chat_template or "").encode())


def _weights(merge: MergeRun, inputs: MergeInputs, folder: PlannedFolder, shards: Sequence[Shard]) -> int:
    match merge.spec.output.form:
        case "Full":
            return sum(_file_bytes(shard) for shard in folder.left(shards))
        case "Adapter":
            return _factor_bytes(merge.spec.output.rank, inputs)
        case "Recipe":
            return 0


def _file_bytes(shard: Shard) -> int:
    described = [(tensor.entry.name, tensor.entry.dtype, tensor.entry.shape) for tensor in shard.tensors]
    header = encode_header(described, metadata={"format": "pt"})
    return len(header) + sum(tensor.entry.size for tensor in shard.tensors)


def _factor_bytes(rank: int | None, inputs: MergeInputs) -> int:
    """fp32 factors of an adapter, without its header. `rank`: None for the sum of both arms' ranks."""
    shapes: dict[str, tuple[int, int]] = {}
    ranks: dict[str, int] = {}
    for adapter in inputs.adapters.values():
        for name, factors in adapter.modules.items():
            shapes[name] = factors.shape
            ranks[name] = ranks.get(name, 0) + factors.a.shape[0]
    return sum(4 * sum(shape) * min(ranks[name], rank or ranks[name]) for name, shape in shapes.items())


def _size(store: ObjectStore, uri: str) -> int:
    info = store.head(uri)
    assert info is not None, f"{uri} was read a moment ago"
    return info.size
