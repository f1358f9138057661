"""The adapter's weights and Adam moments as whole fp32 tensors, whatever the number of ranks.

Under ZeRO-3 each parameter is flattened, padded to a multiple of the ranks and cut into equal slices, one per rank. One
gather of all slices, concatenated, costs one collective where DeepSpeed's own accessors cost one per parameter.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
import torch.distributed as dist
from deepspeed.utils import (
    safe_get_local_fp32_param,
    safe_get_local_optimizer_state,
    safe_set_local_fp32_param,
    safe_set_local_optimizer_state,
)

MOMENTS = ("exp_avg", "exp_avg_sq")
"""Adam's running means, by the names torch gives them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AdapterState:
    """Everything about an adapter that training changes.

    `weights` and each of `moments` map parameter names (PEFT's, such as `….q_proj.lora_A.default.weight`) to fp32
    tensors on the CPU. `moments` is keyed by `MOMENTS`, then by name; empty before the first step. `adam_step`:
    Adam's t.
    """

    weights: dict[str, torch.Tensor]
    moments: dict[str, dict[str, torch.Tensor]]
    adam_step: int


class AdapterStateAccess(Protocol):
    """Reads and writes the state of the adapter that is being trained."""

    def weights(self) -> dict[str, torch.Tensor] | None:
        """Whole weights on rank 0, None on the others. Collective."""

    def read(self) -> AdapterState | None:
        """The whole state on rank 0, None on the others. Collective."""

    def write(self, state: AdapterState) -> None:
        """Take over a state; every rank passes the same one."""


def adapter_parameters(model: torch.nn.Module) -> list[tuple[str, torch.nn.Parameter]]:
    """Name and parameter of all that is trained, in the order in which every rank sees it."""
    return [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]


class WholeParameters:
    """Access in a single process, where parameters are whole."""

    def __init__(self, model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> None:
        self._parameters = adapter_parameters(model)
        self._optimizer = optimizer

    def weights(self) -> dict[str, torch.Tensor] | None:
        """Whole weights."""
        return {name: _to_cpu(parameter) for name, parameter in self._parameters}

    def read(self) -> AdapterState | None:
        """Whole state."""
        weights = self.weights()
        assert weights is not None
        state = self._optimizer.state
        if not state:
            return AdapterState(weights=weights, moments={}, adam_step=0)
        moments = {
            moment: {name: _to_cpu(state[parameter][moment]) for name, parameter in self._parameters}
            for moment in MOMENTS
        }
        return AdapterState(weights=weights, moments=moments, adam_step=_adam_step(state))

    def write(self, state: AdapterState) -> None:
        """Take over a state."""
        for name, parameter in self._parameters:
            parameter.data.copy_(state.weights[name])
            if state.moments:
                self._optimizer.state[parameter] = {
                    "step": torch.tensor(float(state.adam_step)),
                    **{moment: state.moments[moment][name].to(parameter.device) for moment in MOMENTS},
                }


class PartitionedParameters:
    """Access under DeepSpeed ZeRO-3. `engine` is what `deepspeed.initialize` returned."""

    def __init__(self, model: torch.nn.Module, engine: Any) -> None:
        self._parameters = adapter_parameters(model)
        self._zero_optimizer = engine.optimizer
        self._optimizer: torch.optim.Optimizer = engine.optimizer.optimizer
        self._rank = dist.get_rank()
        self._ranks = dist.get_world_size()

    def weights(self) -> dict[str, torch.Tensor] | None:
        """Whole weights on rank 0."""
        return self._gather(safe_get_local_fp32_param)

    def read(self) -> AdapterState | None:
        """Whole state on rank 0."""
        weights = self._gather(safe_get_local_fp32_param)
        if not self._optimizer.state:
            return None if weights is None else AdapterState(weights=weights, moments={}, adam_step=0)
        moments = {moment: self._gather(_moment_reader(moment)) for moment in MOMENTS}
        if weights is None:
            return None
        return AdapterState(
            weights=weights,
            moments={moment: whole for moment, whole in moments.items() if whole is not None},
            adam_step=_adam_step(self._optimizer.state),
        )

    def write(self, state: AdapterState) -> None:
        """Take over a state: every rank cuts its own slices out of it."""
        if state.moments:
            for partition in self._zero_optimizer.fp32_partitioned_groups_flat:
                self._optimizer.state[partition] = {
                    "step": torch.tensor(float(state.adam_step)),
                    **{moment: torch.zeros_like(partition.data) for moment in MOMENTS},
                }
        for name, parameter in self._parameters:
            safe_set_local_fp32_param(parameter, self._slice(state.weights[name], parameter))
            for moment, whole in state.moments.items():
                safe_set_local_optimizer_state(parameter, self._slice(whole[name], parameter), moment)

    def _slice(self, whole: torch.Tensor, parameter: torch.nn.Parameter) -> torch.Tensor:
        size = _partition_size(parameter, self._ranks)
        padded = torch.zeros(size * self._ranks, dtype=torch.float32)
        padded[: whole.numel()] = whole.flatten()
        return padded[self._rank * size : (self._rank + 1) * size]

    def _gather(self, read_local: Callable[[torch.nn.Parameter], torch.Tensor]) -> dict[str, torch.Tensor] | None:
        local = torch.cat([read_local(parameter).detach().flatten().float() for _, parameter in self._parameters])
        gathered = [torch.empty_like(local) for _ in range(self._ranks)] if self._rank == 0 else None
        dist.gather(local, gathered, dst=0)
        if gathered is None:
            return None
        return _joined([slices.cpu() for slices in gathered], self._parameters)


def _joined(
    slices_by_rank: Sequence[torch.Tensor], parameters: Sequence[tuple[str, torch.nn.Parameter]]
) -> dict[str, torch.Tensor]:
    whole: dict[str, torch.Tensor] = {}
    offset = 0
    for name, parameter in parameters:
        size = _partition_size(parameter, len(slices_by_rank))
        flat = torch.cat([slices[offset : offset + size] for slices in slices_by_rank])
        shape = parameter.ds_shape
        whole[name] = flat[: shape.numel()].view(shape).clone()
        offset += size
    return whole


def _partition_size(parameter: torch.nn.Parameter, ranks: int) -> int:
    return -(-int(parameter.ds_shape.numel()) // ranks)


def _moment_reader(moment: str) -> Callable[[torch.nn.Parameter], torch.Tensor]:
    return lambda parameter: safe_get_local_optimizer_state(parameter, moment)


def _adam_step(state: dict[Any, Any]) -> int:
    return int(next(iter(state.values()))["step"])


def _to_cpu(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.detach().to("cpu", torch.float32, copy=True)
