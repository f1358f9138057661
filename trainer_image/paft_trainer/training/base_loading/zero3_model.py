"""A model that is partitioned by ZeRO-3 from its first byte on (DeepSpeed 0.19).

`zero.Init` makes every parameter whole before it cuts it, and rank 0 hands the values out. Here each rank allocates its
own parts only and reads them itself; what DeepSpeed knows of a parameter afterwards is the same. That uses
`Init._convert_to_deepspeed_param`, which is private: tests compare every part with what `from_pretrained` loads.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from deepspeed.accelerator import get_accelerator
from deepspeed.runtime.zero.partition_parameters import Init, PartitionedParamStatus, ZeroParamStatus

from paft_trainer.base.piece_source import PieceSource
from paft_trainer.training.base_loading.architecture import OnlyTransformers, WantedTensor
from paft_trainer.training.base_loading.empty_model import replace_parameter
from paft_trainer.training.base_loading.fill import DTYPES, Destination
from paft_trainer.training.base_loading.partition_plan import TensorLayout
from paft_trainer.training.base_loading.reading import layouts_of, read_weights
from paft_trainer.training.deepspeed_configuration import is_on


def require_plain_partitions(configuration: Mapping[str, Any]) -> None:
    """Raises OnlyTransformers for settings of ZeRO-3 that hold parameters in another way than in equal parts."""
    zero = configuration["zero_optimization"]
    if zero.get("offload_param", {}).get("device") == "nvme":
        raise OnlyTransformers("training.deepspeed offloads parameters to NVMe")
    for name in ("zero_hpz_partition_size", "zero_quantized_weights", "zero_quantized_nontrainable_weights"):
        if is_on(zero, name):
            raise OnlyTransformers(f"training.deepspeed sets zero_optimization.{name}")
    if "weight_quantization" in configuration:
        raise OnlyTransformers("training.deepspeed sets weight_quantization")


def load_partitions(
    model: Any,
    wanted: Iterable[WantedTensor],
    source: PieceSource,
    configuration: Mapping[str, Any],
) -> None:
    """Give every parameter of an empty model this rank's part, and every buffer its value. Collective."""
    zero = Init(config_dict_or_path=configuration)
    wanted, tensors = list(wanted), source.index.tensors
    places = {one.tensor: one for one in wanted}
    layouts = layouts_of(wanted, tensors)
    destinations = {}
    for layout in layouts:
        place, dtype = places[layout.name], DTYPES[tensors[layout.name].dtype]
        if place.is_parameter:
            parameter = _partitioned(zero, model.get_parameter(place.names[0]))
            destinations[layout.name] = _destination(layout, parameter.ds_tensor, zero, dtype)
            replace_parameter(model, place.names, parameter)
        else:
            buffer = model.get_buffer(place.names[0])
            destinations[layout.name] = Destination(values=buffer.view(-1), start=0, stop=layout.size, dtype=dtype)
    read_weights(source, layouts, destinations, rank=zero.rank, world_size=zero.dp_world_size, device=zero.local_device)
    # As zero.Init does when it is entered: the gradient of a frozen weight would be made and thrown away otherwise.
    zero._enable_mem_efficient_linear()


def _partitioned(zero: Init, empty: torch.nn.Parameter) -> torch.nn.Parameter:
    """A parameter as `Init._partition_param` leaves one behind; the values of its part are still to come."""
    # One element in memory, in the full shape, which is all that DeepSpeed looks at.
    whole = torch.empty(1, dtype=empty.dtype, device=zero.local_device).expand(empty.shape)
    parameter = torch.nn.Parameter(whole, requires_grad=empty.requires_grad)
    zero._convert_to_deepspeed_param(parameter)
    size = -(-parameter.ds_numel // parameter.ds_zero_partition_world_size)
    device = zero.local_device if parameter.ds_persist else zero.remote_device
    part = torch.empty(size, dtype=empty.dtype, device=device)
    if part.device.type == "cpu" and zero.pin_memory:
        part = get_accelerator().pin_memory(part)
    part.ds_numel = size
    part.status, part.final_location = PartitionedParamStatus.AVAILABLE, None
    parameter.ds_tensor = part
    parameter.ds_numel_aligned = size * parameter.ds_zero_partition_world_size
    parameter.data = torch.empty(0, dtype=empty.dtype, device=zero.local_device)
    parameter.ds_status = ZeroParamStatus.NOT_AVAILABLE
    return parameter


def _destination(layout: TensorLayout, part: torch.Tensor, zero: Init, dtype: torch.dtype) -> Destination:
    start, stop = layout.held_by(zero.rank, zero.dp_world_size)
    part[(stop - start) // layout.element_bytes :].zero_()
    return Destination(values=part, start=start, stop=stop, dtype=dtype)
