"""The model of one process without DeepSpeed, filled in place."""

from collections.abc import Iterable
from typing import Any

import torch

from paft_trainer.base.piece_source import PieceSource
from paft_trainer.training.base_loading.architecture import WantedTensor
from paft_trainer.training.base_loading.empty_model import replace_parameter
from paft_trainer.training.base_loading.fill import DTYPES, Destination
from paft_trainer.training.base_loading.reading import layouts_of, read_weights


def load_whole(
    model: Any,
    wanted: Iterable[WantedTensor],
    source: PieceSource,
    device: torch.device,
) -> None:
    """Give every parameter of an empty model its values on `device`, and every buffer its own. Raises StageError."""
    wanted, tensors = list(wanted), source.index.tensors
    destinations = {}
    for place in wanted:
        if place.is_parameter:
            empty = model.get_parameter(place.names[0])
            values = torch.empty(empty.shape, dtype=empty.dtype, device=device)
            replace_parameter(model, place.names, torch.nn.Parameter(values, requires_grad=empty.requires_grad))
        else:
            values = model.get_buffer(place.names[0])
        tensor = tensors[place.tensor]
        destinations[place.tensor] = Destination(
            values=values.view(-1), start=0, stop=tensor.size, dtype=DTYPES[tensor.dtype]
        )
    read_weights(source, layouts_of(wanted, tensors), destinations, rank=0, world_size=1, device=device)
