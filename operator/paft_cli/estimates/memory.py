"""Peak memory of one process of an arm: what is there always, and the largest moment of a step on top."""

from dataclasses import dataclass

from paft_cli.estimates.activations import checkpoint_bytes, first_norm_bytes, layer_activations, output_bytes
from paft_cli.estimates.arm_setting import ArmSetting
from paft_cli.estimates.output_head import head_bytes
from paft_cli.estimates.zero3 import adapter_memory, gathered_bytes, sharded_bytes, zero_settings

RUNTIME_BYTES = {"cuda": 1_500_000_000, "cpu": 150_000_000}
"""Of one process beside tensors. CUDA: its context, buffers of cuBLAS and NCCL, and what the allocator leaves unused,
which was not measured here. CPU: what grows beside tensors after the imports: tokenizer, rows, buffers of gloo and of
the arithmetic libraries."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ArmMemory:
    """Bytes of one process.

    `base`: its shards. `gathered`: base weights that are whole at once. `adapter`: its weights. `master`: their fp32
    copy. `gradients`, `optimizer`: of the adapter. `activations`: kept for the backward pass, with the work of one
    layer. `logits`: of the output head, at the end of the forward pass. `runtime`: beside tensors. `tokens`: of the
    pass. The work of a layer and the logits are not there at the same time, so that `peak` may be less than the sum.
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
    peak: int
    tokens: int


def arm_memory(setting: ArmSetting, *, longest: int | None = None) -> ArmMemory:
    """Peak memory of a process. `longest`: tokens of the longest sequence of the data, where it is known."""
    base, training, size = setting.base, setting.training, setting.element_bytes
    settings = zero_settings(training.deepspeed, base.hidden_size)
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
    runtime = RUNTIME_BYTES[setting.device]
    standing = held + gathered + adapter.weights + adapter.master + adapter.gradients + adapter.optimizer + runtime
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
        peak=standing + kept + max(working, logits),
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
