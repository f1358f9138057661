"""What an optimizer's tensor holds: entries of A or of B, padding, and where rows of B lie.

Under ZeRO-3 the optimizer sees flat tensors: a rank's slices of many parameters, one after the other, the last rank's
filled up with zeros. In one process it sees the parameters themselves.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any

import torch
import torch.distributed as dist

from paft_trainer.training.parameter_groups import Factor

SAMPLED_ENTRIES = 2**18
"""Entries of one factor, over all ranks, that stand for all where the penalty is steered."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RowSegments:
    """The rows in one flat tensor, in order; a row that is cut between ranks is a segment on each of them.

    `lengths`: entries of each segment (int64, [segments]); padding is a segment, too. `begins`: whether a segment holds
    its row's first entry (bool), so that each row is counted by one rank and padding by none. `cut`: indices of
    segments that are parts of rows, and `slots`: their places among all `cut_rows` cut rows of all ranks (both int64).
    `row_length`: entries of a whole row. `entries`: of the tensor.
    """

    lengths: torch.Tensor
    begins: torch.Tensor
    cut: torch.Tensor
    slots: torch.Tensor
    cut_rows: int
    row_length: int
    entries: int

    def to(self, device: torch.device) -> "RowSegments":
        """The same on a device."""
        moved = {name: getattr(self, name).to(device) for name in ("lengths", "begins", "cut", "slots")}
        return replace(self, **moved)

    def sums(self, values: torch.Tensor) -> torch.Tensor:
        """Sum over each whole row, in all its segments, fp32 [n, segments]. Collective. `values`: [n, entries]."""
        sums = torch.stack(
            [torch.segment_reduce(line, "sum", lengths=self.lengths, unsafe=True) for line in values.unbind()]
        )
        if self.cut_rows:
            whole = torch.zeros(len(values), self.cut_rows, device=sums.device)
            whole[:, self.slots] = sums[:, self.cut]
            dist.all_reduce(whole)
            sums[:, self.cut] = whole[:, self.slots]
        return sums

    def spread(self, per_segment: torch.Tensor) -> torch.Tensor:
        """Each segment's value for all of its entries, [entries]."""
        return per_segment.repeat_interleave(self.lengths, output_size=self.entries)


@dataclass(frozen=True, kw_only=True, slots=True)
class FactorPartition:
    """What one tensor of the optimizer holds. `rows`: where whole rows become zero.

    `sample`: indices of entries, or of segments, that stand for all, spread evenly and none of them padding (int64).
    """

    factor: Factor
    sample: torch.Tensor
    rows: RowSegments | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class _Slice:
    """A rank's part of one parameter: entries `start` to `stop` of `whole`, then padding up to `size`."""

    start: int
    stop: int
    whole: int
    size: int

    @property
    def padding(self) -> int:
        return self.size - (self.stop - self.start)


def whole_partitions(optimizer: torch.optim.Optimizer, *, by_rows: bool) -> dict[torch.Tensor, FactorPartition]:
    """In one process, by tensor; those of neither factor are left out."""
    partitions = {}
    strides = _strides((group, parameter.numel()) for group in optimizer.param_groups for parameter in group["params"])
    for group in optimizer.param_groups:
        if group["factor"] is None:
            continue
        for parameter in group["params"]:
            part = _slice(parameter.numel(), rank=0, ranks=1)
            rows = _rows([part], group, parameter.shape[-1], by_rows=by_rows, rank=0, ranks=1)
            stride = strides[group["factor"]]
            partitions[parameter] = _partition(group, [part], rows, stride=stride, device=parameter.device)
    return partitions


def zero3_partitions(zero_optimizer: Any, *, by_rows: bool) -> dict[torch.Tensor, FactorPartition]:
    """Under ZeRO-3, by this rank's flat tensors. `zero_optimizer`: DeepSpeed's, as `engine.optimizer`."""
    rank, ranks = dist.get_rank(), dist.get_world_size()
    partitions = {}
    all_groups, ids = zero_optimizer.optimizer.param_groups, zero_optimizer.sub_group_to_group_id
    sub_groups = [
        (all_groups[ids[number]], parameters, flat)
        for number, (parameters, flat) in enumerate(
            zip(zero_optimizer.fp16_groups, zero_optimizer.fp32_partitioned_groups_flat, strict=True)
        )
    ]
    strides = _strides((group, parameter.ds_numel) for group, parameters, _ in sub_groups for parameter in parameters)
    for group, parameters, flat in sub_groups:
        if group["factor"] is None:
            continue
        parts = [_slice(parameter.ds_numel, rank=rank, ranks=ranks) for parameter in parameters]
        rows = _rows(parts, group, parameters[0].ds_shape[-1], by_rows=by_rows, rank=rank, ranks=ranks)
        partitions[flat] = _partition(group, parts, rows, stride=strides[group["factor"]], device=flat.device)
    return partitions


def _slice(whole: int, *, rank: int, ranks: int) -> _Slice:
    size = -(-whole // ranks)
    start = min(rank * size, whole)
    return _Slice(start=start, stop=min(start + size, whole), whole=whole, size=size)


def _strides(sizes: Iterable[tuple[Mapping[str, Any], int]]) -> dict[Factor | None, int]:
    """By factor: of how many entries one is sampled. `sizes`: of tensors, with their groups."""
    entries: Counter[Factor | None] = Counter()
    for group, size in sizes:
        entries[group["factor"]] += size
    return {factor: -(-count // SAMPLED_ENTRIES) for factor, count in entries.items()}


def _rows(
    parts: Sequence[_Slice], group: Mapping[str, Any], row_length: int, *, by_rows: bool, rank: int, ranks: int
) -> RowSegments | None:
    if not by_rows or group["factor"] != Factor.B:
        return None
    return row_segments([part.whole for part in parts], row_length, rank=rank, ranks=ranks)


def _partition(
    group: Mapping[str, Any], parts: Sequence[_Slice], rows: RowSegments | None, *, stride: int, device: torch.device
) -> FactorPartition:
    if rows is not None:
        indices = rows.begins.nonzero().flatten()[:: -(-stride // rows.row_length)]
        return FactorPartition(factor=Factor.B, sample=indices.to(device), rows=rows.to(device))
    ends = list(accumulate(part.size for part in parts))
    held = [torch.arange(end - part.size, end - part.padding) for end, part in zip(ends, parts, strict=True)]
    return FactorPartition(factor=Factor(group["factor"]), sample=torch.cat(held)[::stride].to(device))


def row_segments(sizes: Sequence[int], row_length: int, *, rank: int, ranks: int) -> RowSegments:
    """The rows of matrices with `sizes` entries each that fall to one of `ranks` ranks."""
    lengths: list[torch.Tensor] = []
    begins: list[torch.Tensor] = []
    cut: list[int] = []
    slots: list[int] = []
    segments = cut_rows = 0
    for whole in sizes:
        part = _slice(whole, rank=rank, ranks=ranks)
        edges = _edges(part, row_length)
        starts = edges[:-1]
        places = {row: cut_rows + place for place, row in enumerate(_cut_rows(whole, row_length, ranks))}
        for index in sorted({0, len(starts) - 1}) if len(starts) else ():
            row = int(starts[index]) // row_length
            if row in places:
                cut.append(segments + index)
                slots.append(places[row])
        lengths.append(edges.diff())
        begins.append(starts % row_length == 0)
        if part.padding:
            lengths.append(torch.tensor([part.padding]))
            begins.append(torch.tensor([False]))
        segments += len(starts) + bool(part.padding)
        cut_rows += len(places)
    return RowSegments(
        lengths=torch.cat(lengths),
        begins=torch.cat(begins),
        cut=torch.tensor(cut, dtype=torch.int64),
        slots=torch.tensor(slots, dtype=torch.int64),
        cut_rows=cut_rows,
        row_length=row_length,
        entries=sum(int(part.sum()) for part in lengths),
    )


def _edges(part: _Slice, row_length: int) -> torch.Tensor:
    """Where the slice's segments begin, and where the last one ends; one number where the slice is empty."""
    first = -(-part.start // row_length) * row_length
    borders = torch.arange(first, max(first, part.stop), row_length)
    return torch.cat([torch.tensor([part.start]), borders, torch.tensor([part.stop])]).unique()


def _cut_rows(whole: int, row_length: int, ranks: int) -> list[int]:
    """Rows with a border between two ranks inside, in order."""
    size = -(-whole // ranks)
    borders = (rank * size for rank in range(1, ranks))
    return sorted({border // row_length for border in borders if border < whole and border % row_length})
