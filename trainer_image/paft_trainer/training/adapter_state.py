"""The adapter's weights and Adam moments in fp32: whole, and as the shares of any number of ranks.

Under ZeRO-3 each parameter is flattened, padded to a multiple of the ranks and cut into equal slices, one per rank. One
gather of all slices, concatenated, costs one collective where DeepSpeed's own accessors cost one per parameter.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
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


@dataclass(frozen=True, kw_only=True, slots=True)
class AdapterShare:
    """What one of several ranks holds of an AdapterState: of every tensor, flattened and padded, one slice.

    `shapes`: of the whole tensors, by name. `weights` and each of `moments`: flat fp32 tensors on the CPU, of
    ⌈elements / ranks⌉ elements each; `moments` and `adam_step` as in AdapterState.
    """

    shapes: dict[str, tuple[int, ...]]
    weights: dict[str, torch.Tensor]
    moments: dict[str, dict[str, torch.Tensor]]
    adam_step: int


def share_of(state: AdapterState, *, rank: int, ranks: int) -> AdapterShare:
    """The share of one rank of so many."""

    def cut(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return {name: _slice_of(tensor, rank, ranks) for name, tensor in tensors.items()}

    return AdapterShare(
        shapes={name: tuple(tensor.shape) for name, tensor in state.weights.items()},
        weights=cut(state.weights),
        moments={moment: cut(tensors) for moment, tensors in state.moments.items()},
        adam_step=state.adam_step,
    )


def joined(shares: Sequence[AdapterShare]) -> AdapterState:
    """The whole, of the shares of all ranks in their order."""
    first = shares[0]
    return AdapterState(
        weights=_joined([share.weights for share in shares], first.shapes),
        moments={
            moment: _joined([share.moments[moment] for share in shares], first.shapes) for moment in first.moments
        },
        adam_step=first.adam_step,
    )


class AdapterStateAccess(Protocol):
    """Reads and writes the state of the adapter that is being trained."""

    def weights(self) -> dict[str, torch.Tensor] | None:
        """Whole weights on rank 0, None on the others. Collective."""

    def share(self) -> AdapterShare:
        """This rank's share of the state, copied. Waits for no other rank."""

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

    def share(self) -> AdapterShare:
        """All of the state."""
        state = self._optimizer.state
        moments = _kept_moments(state)
        return AdapterShare(
            shapes={name: tuple(parameter.shape) for name, parameter in self._parameters},
            weights={name: _to_cpu(parameter).flatten() for name, parameter in self._parameters},
            moments={
                moment: {name: _to_cpu(state[parameter][moment]).flatten() for name, parameter in self._parameters}
                for moment in moments
            },
            adam_step=_adam_step(state),
        )

    def write(self, state: AdapterState) -> None:
        """Take over a state."""
        for name, parameter in self._parameters:
            parameter.data.copy_(state.weights[name])
            if state.moments:
                self._optimizer.state[parameter] = {
                    "step": _step_tensor(state.adam_step, self._optimizer, parameter),
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
        self._shapes = {name: tuple(parameter.ds_shape) for name, parameter in self._parameters}

    def weights(self) -> dict[str, torch.Tensor] | None:
        """Whole weights on rank 0."""
        return self._gather(safe_get_local_fp32_param)

    def share(self) -> AdapterShare:
        """This rank's partitions."""
        state = self._optimizer.state
        moments = _kept_moments(state)
        return AdapterShare(
            shapes=self._shapes,
            weights=self._by_name(self._local(safe_get_local_fp32_param)),
            moments={moment: self._by_name(self._local(_moment_reader(moment))) for moment in moments},
            adam_step=_adam_step(state),
        )

    def write(self, state: AdapterState) -> None:
        """Take over a state: every rank cuts its own slices out of it."""
        if state.moments:
            for partition in self._zero_optimizer.fp32_partitioned_groups_flat:
                self._optimizer.state[partition] = {
                    "step": _step_tensor(state.adam_step, self._optimizer, partition),
                    **{moment: torch.zeros_like(partition.data) for moment in MOMENTS},
                }
        for name, parameter in self._parameters:
            safe_set_local_fp32_param(parameter, self._slice(state.weights[name]))
            for moment, whole in state.moments.items():
                safe_set_local_optimizer_state(parameter, self._slice(whole[name]), moment)

    def _slice(self, whole: torch.Tensor) -> torch.Tensor:
        return _slice_of(whole, self._rank, self._ranks)

    def _local(self, read_local: Callable[[torch.nn.Parameter], torch.Tensor]) -> torch.Tensor:
        """A copy of this rank's slices of all parameters, one after the other, where the parameters are."""
        return torch.cat([read_local(parameter).detach().flatten().float() for _, parameter in self._parameters])

    def _by_name(self, local: torch.Tensor) -> dict[str, torch.Tensor]:
        """The same on the CPU, apart."""
        sizes = [_slice_size(shape, self._ranks) for shape in self._shapes.values()]
        return dict(zip(self._shapes, local.cpu().split(sizes), strict=True))

    def _gather(self, read_local: Callable[[torch.nn.Parameter], torch.Tensor]) -> dict[str, torch.Tensor] | None:
        local = self._local(read_local)
        gathered = [torch.empty_like(local) for _ in range(self._ranks)] if self._rank == 0 else None
        dist.gather(local, gathered, dst=0)
        if gathered is None:
            return None
        return _joined([self._by_name(slices) for slices in gathered], self._shapes)


def _joined(
    slices_by_rank: Sequence[Mapping[str, torch.Tensor]], shapes: Mapping[str, tuple[int, ...]]
) -> dict[str, torch.Tensor]:
    return {
        name: torch.cat([slices[name] for slices in slices_by_rank])[: prod(shape)].view(shape)
        for name, shape in shapes.items()
    }


def _slice_of(whole: torch.Tensor, rank: int, ranks: int) -> torch.Tensor:
    size = _slice_size(whole.shape, ranks)
    padded = torch.zeros(size * ranks, dtype=torch.float32)
    padded[: whole.numel()] = whole.flatten()
    return padded[rank * size : (rank + 1) * size]


def _slice_size(shape: Sequence[int], ranks: int) -> int:
    return -(-prod(shape) // ranks)


def _kept_moments(state: Mapping[Any, Any]) -> tuple[str, ...]:
    """None before the first step, and where an optimizer has its moments in another form, as in 8 bits: these begin
    anew after a restart."""
    return MOMENTS if state and all(moment in next(iter(state.values())) for moment in MOMENTS) else ()


def _step_tensor(step: int, optimizer: torch.optim.Optimizer, parameter: torch.Tensor) -> torch.Tensor:
    """Adam's t where torch's AdamW looks for it: beside the parameter in its fused form, else on the CPU."""
    is_fused = bool(optimizer.param_groups[0].get("fused"))
    return torch.tensor(float(step), device=parameter.device if is_fused else "cpu")


def _moment_reader(moment: str) -> Callable[[torch.nn.Parameter], torch.Tensor]:
    return lambda parameter: safe_get_local_optimizer_state(parameter, moment)


def _adam_step(state: Mapping[Any, Any]) -> int:
    """0 before the first step."""
    return int(next(iter(state.values()))["step"]) if state else 0


def _to_cpu(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.detach().to("cpu", torch.float32, copy=True)
