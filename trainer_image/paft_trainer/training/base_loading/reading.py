"""Reads what the plan gives to this rank, and fills what it holds."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext

import torch

from paft_trainer.base.piece_index import IndexedTensor, PieceRun
from paft_trainer.base.piece_source import PieceSource
from paft_trainer.training.base_loading.architecture import WantedTensor
from paft_trainer.training.base_loading.exchange import Exchange, failing_together
from paft_trainer.training.base_loading.fill import DTYPES, Destination, Filler
from paft_trainer.training.base_loading.partition_plan import Reading, TensorLayout, plan_rounds


def layouts_of(wanted: Iterable[WantedTensor], tensors: Mapping[str, IndexedTensor]) -> list[TensorLayout]:
    """In the order of their bytes, so that neighbours can be read at once."""
    of_parameter = {one.tensor: one.is_parameter for one in wanted}
    ordered = sorted((tensors[name] for name in of_parameter), key=lambda tensor: (tensor.file, tensor.start))
    return [
        TensorLayout(
            name=tensor.name,
            size=tensor.size,
            element_bytes=DTYPES[tensor.dtype].itemsize,
            piece_bytes=tensor.piece_bytes,
            is_split=of_parameter[tensor.name],
        )
        for tensor in ordered
    ]


def read_weights(
    source: PieceSource,
    layouts: Sequence[TensorLayout],
    destinations: Mapping[str, Destination],
    *,
    rank: int,
    world_size: int,
    device: torch.device,
) -> None:
    """Fill `destinations`, by tensor, with verified bytes. Collective; raises StageError on every rank.

    `device`: what the process group passes bytes between.
    """
    tensors = source.index.tensors
    filler = Filler(device)
    for each in plan_rounds(layouts, world_size):
        exchange = Exchange(each.slices, rank, world_size, device)
        with failing_together() if world_size > 1 else nullcontext():
            for run, content in source.read([_run(one, tensors) for one in each.readings if one.reader == rank]):
                filler.fill(destinations[run.tensor.name], run.start, content)
                exchange.put(run.tensor.name, run.start, content)
        if world_size > 1:
            for one, content in exchange.swap():
                filler.fill(destinations[one.tensor], one.start, content)


def _run(reading: Reading, tensors: Mapping[str, IndexedTensor]) -> PieceRun:
    return PieceRun(tensor=tensors[reading.tensor], first=reading.first, count=reading.count)
