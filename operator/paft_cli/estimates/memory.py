"""Peak memory of one process of an arm: what is there always, and the largest moment of a step on top."""

from dataclasses import dataclass

from paft_cli.estimates.activations import checkpoint_bytes, first_norm_bytes, layer_activations, output_bytes
from paft_cli.estimates.arm_setting import ArmSetting
from paft_cli.estimates.output_head import head_bytes
from paft_cli.estimates.zero3 import adapter_memory, gathered_bytes, sharded_bytes, zero_settings

IMPORTED_BYTES = {"cuda": 0, "cpu": 510_000_000}
"""Resident when all is imported, in the memory that counts; on CPU much of it is shared with the process that ranks are
forked from."""

RUNTIME_BYTES = {"cuda": 1_500_000_000, "cpu": 100_000_000}
"""Of one process beside tensors, after its imports. CUDA: its context, buffers of cuBLAS and NCCL, and what the
allocator leaves unused, which was not measured here. CPU: tokenizer, rows, buffers of gloo and of the arithmetic
libraries."""

KEPT_BY_ALLOCATOR = {"cuda": 0.0, "cpu": 0.5}
"""Of what a step allocates and frees, the share that the allocator keeps beside it at the peak. CPU: glibc's, found by
benchmarks/estimate.py. CUDA: in the runtime's share, not measured."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ArmMemory:
    """Bytes of one process.

    `base`: its shards. `gathered`: base weights that are whole at once. `adapter`: its weights. `master`: their fp32
    copy. `gradients`, `optimizer`: of the adapter. `activations`: kept for the backward pass, with the work of one
    layer. `logits`: of the output head, at the end of the forward pass. `runtime`: beside tensors. `allocator`: freed
    buffers that it keeps. `tokens`: of the pass. The work of a layer and the logits are not there at the same time, so
    that `peak` may be less than the sum.
    """

    base: int
    gathered: int
    adapter: int
    master: int
    gradients: int
    optimizer: int
    activations: int
    logits: int
    runtime: int
    allocator: int
    peak: int
    tokens: int


def arm_memory(setting: ArmSetting, *, longest: int | None = None) -> ArmMemory:
    """Peak memory of a process. `longest`: tokens of the longest sequence of the data, where it is known."""
    base, training, size = setting.base, setting.training, setting.element_bytes
    settings = zero_settings(training, base.hidden_size)
    tokens = setting.tokens_per_pass(longest)
    checkpointing = training.gradient_checkpointing
    weights = sharded_bytes(base.parameters, processes=setting.processes, element_bytes=size)
    gathered = gathered_bytes(
        base,
        settings,
        processes=setting.processes,
        element_bytes=size,
        uses_per_pass=3 if checkpointing else 2,
    )
    adapter = adapter_memory(setting.adapter_parameters, settings, processes=setting.processes, element_bytes=size)
    kept, working = _activations(setting, tokens)
    logits = head_bytes(base, tokens, element_bytes=size, device=setting.device)
    held = 0 if settings.offloads_parameters else weights
    runtime = IMPORTED_BYTES[setting.device] + RUNTIME_BYTES[setting.device]
    standing = held + gathered + adapter.weights + adapter.master + adapter.gradients + adapter.optimizer + runtime
    moment = kept + max(working, logits)
    allocator = round(KEPT_BY_ALLOCATOR[setting.device] * moment)
    return ArmMemory(
        base=held,
        gathered=gathered,
        adapter=adapter.weights,
        master=adapter.master,
        gradients=adapter.gradients,
        optimizer=adapter.optimizer,
        activations=kept + working,
        logits=logits,
        runtime=runtime,
        allocator=allocator,
        peak=standing + moment + allocator,
        tokens=tokens,
    )


def _activations(setting: ArmSetting, tokens: int) -> tuple[int, int]:
    """Kept from the forward to the backward pass, and at most at once while one layer is computed backwards."""
    base, size = setting.base, setting.element_bytes
    layer = layer_activations(base, setting.modules, setting.lora, element_bytes=size)
    end = output_bytes(base, size)
    if setting.training.gradient_checkpointing:
        kept = base.layers * checkpoint_bytes(base, size) + end
        return tokens * kept, tokens * (layer.kept + layer.working)
    kept = base.layers * layer.kept - first_norm_bytes(base) + end
    return tokens * kept, tokens * layer.working
