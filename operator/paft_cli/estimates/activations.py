"""Activations: what autograd keeps of a forward pass for the backward pass, in bytes for each token.

Counted as in "Reducing Activation Recomputation in Large Transformer Models" (arXiv 2205.05198, section 4.1), but for
the decoders of transformers 5.23 with PEFT's LoRA: base weights are frozen, so that a linear module keeps its input
only where it is adapted. `tests/paft_cli/estimates` compares the counts with what torch keeps.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from paft_api.adapter_modules import rank_of
from paft_api.spec.lora import LoraSpec
from paft_cli.estimates.base_shape import BaseShape, LinearShape

_FP32 = 4
_ATTENTION_OUTPUTS = ("o_proj", "out_proj", "dense", "c_proj", "wo")
_MLP_OUTPUTS = ("down_proj", "fc2", "dense_4h_to_h", "w2")
_MLP_INPUTS = ("gate_proj", "up_proj", "gate_up_proj", "fc1", "dense_h_to_4h", "c_fc", "w1", "w3")


@dataclass(frozen=True, kw_only=True, slots=True)
class LayerActivations:
    """Bytes of one layer for each token. `kept`: from forward to backward. `working`: at most at once beside that."""

    kept: int
    working: int


def layer_activations(
    base: BaseShape, modules: Sequence[LinearShape], lora: LoraSpec, *, element_bytes: int
) -> LayerActivations:
    """One decoder layer. `modules`: all that are adapted."""
    names = {module.name.rpartition(".")[2] for module in modules}
    attention = _attention(base, names, element_bytes)
    mlp = _mlp(base, names, element_bytes)
    per_layer = [module for module in modules if _is_in_one_layer(module, base, modules)]
    adapters = _adapters(per_layer, lora, element_bytes)
    return LayerActivations(
        kept=2 * _norm(base) + attention + mlp + adapters,
        # Gradients of two of the MLP's wide tensors, and of its input and output.
        working=element_bytes * 2 * (base.intermediate_size + base.hidden_size),
    )


def checkpoint_bytes(base: BaseShape, element_bytes: int) -> int:
    """What gradient checkpointing keeps of one layer for each token: its input (arXiv 1604.06174)."""
    return base.hidden_size * element_bytes


def output_bytes(base: BaseShape, element_bytes: int) -> int:
    """Outside of the layers, for each token: the last norm, the hidden state that the output head gets, and the sine
    and cosine that all layers share."""
    return _norm(base) + (base.hidden_size + 2 * base.query_size // base.heads) * element_bytes


def first_norm_bytes(base: BaseShape) -> int:
    """What the first layer does not keep for each token: its input is the embedding's output, which nothing that is
    trained leads to. With checkpointing it counts as trained, for torch would keep no graph without."""
    return _norm(base)


def _norm(base: BaseShape) -> int:
    """RMSNorm computes in fp32 and keeps its input so, and the scale of each token."""
    return (base.hidden_size + 1) * _FP32


def _attention(base: BaseShape, names: set[str], element_bytes: int) -> int:
    """Query, key, value and output of the kernel, and one fp32 for each head (FlashAttention, arXiv 2205.14135: no
    matrix of scores); the inputs of the projections where those are adapted, of which the output's is the kernel's
    output with all rows put together."""
    elements = 2 * base.query_size + 2 * base.key_size
    if names.difference(_MLP_INPUTS, _MLP_OUTPUTS, _ATTENTION_OUTPUTS):
        elements += base.hidden_size
    if names.intersection(_ATTENTION_OUTPUTS):
        elements += base.query_size
    normed = _FP32 * (base.query_size + base.key_size) if base.has_query_norms else 0
    return elements * element_bytes + normed + _FP32 * base.heads


def _mlp(base: BaseShape, names: set[str], element_bytes: int) -> int:
    """The activation's input; with a gate its output and the other factor, too; inputs of adapted projections."""
    elements = base.intermediate_size * (3 if base.is_gated else 1)
    if names.intersection(_MLP_INPUTS):
        elements += base.hidden_size
    if names.intersection(_MLP_OUTPUTS):
        elements += base.intermediate_size
    return elements * element_bytes


def _adapters(modules: Sequence[LinearShape], lora: LoraSpec, element_bytes: int) -> int:
    """A's output for each module; with dropout the input that is left and, as one byte each, what was dropped."""
    kept = sum(rank_of(module.name, lora) for module in modules) * element_bytes
    if lora.dropout:
        kept += sum(module.inputs for module in modules) * (element_bytes + 1)
    return kept


def _is_in_one_layer(module: LinearShape, base: BaseShape, modules: Sequence[LinearShape]) -> bool:
    """Whether the module is in the first layer that has adapted ones; all layers are taken to be alike."""
    return _layer_of(module.name) == _layer_of(modules[0].name)


def _layer_of(name: str) -> str:
    return next((part for part in name.split(".") if part.isdigit()), "")
