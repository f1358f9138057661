"""Floating-point operations of an arm; a multiplication and an addition are two.

Counted as in PaLM (arXiv 2204.02311, appendix B) and TRL's `compute_flops_per_token`, with two differences. Weights of
the base are frozen: their backward pass is one product, not two. Attention is causal, so that half of the scores is
computed, and its backward pass costs 2.5 times its forward pass (FlashAttention-2, arXiv 2307.08691, section 4.1).
"""

from dataclasses import dataclass

from paft_api.spec.training import TrainingSpec
from paft_cli.estimates.arm_setting import ArmSetting
from paft_cli.estimates.data_size import DataSize


@dataclass(frozen=True, kw_only=True, slots=True)
class ArmWork:
    """`tokens`: that are trained on, over all epochs. `reference_tokens`: of DPO's reference, each once. `steps`: of
    the optimizer. `flops`: of all of it."""

    steps: int
    tokens: float
    reference_tokens: float
    flops: float


def forward_flops(setting: ArmSetting, context: float, *, with_adapter: bool = True) -> float:
    """Of one token, whose sequence is `context` long, without the output head."""
    base = setting.base
    weights = 2 * base.linear_parameters * base.active_share
    adapter = 2 * setting.adapter_parameters if with_adapter else 0
    return weights + adapter + _attention_flops(setting, context)


def head_flops(setting: ArmSetting) -> float:
    """Of one product of a token's hidden state with the output head."""
    return 2 * setting.base.hidden_size * setting.base.vocab_size


def training_flops(setting: ArmSetting, context: float) -> float:
    """Of one token, forward and backward. The tiles of logits are computed again in the backward pass."""
    base = setting.base
    forward = forward_flops(setting, context)
    backward = (
        2 * base.linear_parameters * base.active_share
        + 4 * setting.adapter_parameters
        + 2.5 * _attention_flops(setting, context)
    )
    again = forward if setting.training.gradient_checkpointing else 0.0
    return forward + backward + again + 3 * head_flops(setting)


def arm_work(setting: ArmSetting, data: DataSize) -> ArmWork:
    """Of the whole training. Rows that fill no batch at the end of an epoch are left out, as the trainer does."""
    training = setting.training
    steps = total_steps(training, data.rows)
    per_row = data.tokens / data.rows
    rows = steps * training.global_batch_size
    tokens = rows * per_row
    reference = min(rows, data.rows) * per_row if setting.has_reference else 0.0
    flops = tokens * training_flops(setting, data.context)
    flops += reference * (forward_flops(setting, data.context, with_adapter=False) + head_flops(setting))
    return ArmWork(steps=steps, tokens=tokens, reference_tokens=reference, flops=flops)


def total_steps(training: TrainingSpec, rows: float) -> int:
    """As `paft_trainer.data.schedule`: maxSteps, else ⌊epochs × full batches of an epoch⌋, at least 1."""
    if training.max_steps is not None:
        return training.max_steps
    return max(1, int(training.epochs * (rows // training.global_batch_size)))


def _attention_flops(setting: ArmSetting, context: float) -> float:
    """Scores and their product with the values, over the half that is causal."""
    return 2 * setting.base.layers * setting.base.query_size * context
