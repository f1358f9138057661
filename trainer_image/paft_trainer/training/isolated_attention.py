"""Attention that keeps the rows of a packed sequence apart, without a mask: each row attends to itself only.

A dense block-diagonal mask, which transformers builds from `position_ids`, costs time and memory quadratic in the
length of the whole sequence; here the cost is that of the rows one by one, and each row's own kernel is the one it
would get alone. Source of the seams: transformers' AttentionInterface and AttentionMaskInterface (5.23).
"""

from typing import Any

import torch
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

ISOLATED_ATTENTION = "paft_isolated"
"""Its name among transformers' attention implementations."""

ISOLATING_MODEL_TYPES = frozenset({"llama", "mistral", "qwen2", "qwen3", "phi3", "granite", "olmo2", "smollm3"})
"""Architectures whose rows are shown by tests to be computed as if alone: nothing but causal attention, over all of a
row or a sliding window of it, lets tokens see each other, and rotary positions are all that places them."""


def isolate_rows(model: PreTrainedModel) -> bool:
    """Have the model keep packed rows apart; False, with nothing changed, where its architecture is not known to."""
    if model.config.model_type not in ISOLATING_MODEL_TYPES:
        return False
    AttentionInterface.register(ISOLATED_ATTENTION, isolated_attention)
    AttentionMaskInterface.register(ISOLATED_ATTENTION, _mask)
    model.set_attn_implementation(ISOLATED_ATTENTION)
    return True


def isolated_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    row_lengths: tuple[int, ...] | None = None,
    sliding_window: int | None = None,
    dropout: float = 0.0,
    scaling: float | None = None,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """Scaled dot-product attention, row by row.

    `query`, `key`, `value`: shape (batch, heads, tokens, dimension). `attention_mask`: of the padded layout, which
    needs nothing else. `row_lengths`: of the packed layout, tokens of each row; None for one row. `sliding_window`: how
    many tokens back a token sees, itself included. Returns shape (batch, tokens, heads, dimension).
    """
    if attention_mask is not None:
        return sdpa_attention_forward(module, query, key, value, attention_mask, dropout=dropout, scaling=scaling)
    lengths = list(row_lengths or (query.shape[2],))
    rows = zip(*(tensor.split(lengths, dim=2) for tensor in (query, key, value)), strict=True)
    outputs = [
        sdpa_attention_forward(
            module, *row, _band(row[0], sliding_window), dropout=dropout, scaling=scaling, is_causal=True
        )[0]
        for row in rows
    ]
    return torch.cat(outputs, dim=1), None


def _band(query: torch.Tensor, sliding_window: int | None) -> torch.Tensor | None:
    """A causal mask of the window, shape (1, 1, tokens, tokens); None for a row that fits into it."""
    length = query.shape[2]
    if sliding_window is None or length <= sliding_window:
        return None
    allowed = torch.ones(length, length, dtype=torch.bool, device=query.device)
    return allowed.tril().triu(1 - sliding_window)[None, None]


def _mask(*args: Any, attention_mask: torch.Tensor | None = None, **kwargs: Any) -> torch.Tensor | None:
    """Only the padded layout needs a mask."""
    return None if attention_mask is None else sdpa_mask(*args, attention_mask=attention_mask, **kwargs)
