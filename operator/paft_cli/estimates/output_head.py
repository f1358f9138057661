"""The output head: logits exist tile by tile only (trl/kernels/chunked_logprob.py, TRL 1.16)."""

from typing import Literal

from paft_cli.estimates.base_shape import BaseShape

TOKENS_PER_TILE = 4096
"""TRL's TOKEN_CHUNK_SIZE."""
TOKENS_OF_VOCABULARY_PER_TILE = 32768
"""TRL's _CHUNKED_LOGPROB_CHUNK_SIZE."""
_FP32_TILES_ON_CPU = 7
"""Scaled logits, log-probabilities, probabilities, gradient and what leads to them: where no Triton kernel computes in
place, as many copies of a tile exist at once."""


def head_bytes(base: BaseShape, tokens: int, *, element_bytes: int, device: Literal["cuda", "cpu"]) -> int:
    """At most at once, for one pass of so many tokens: the tile of logits in the model's dtype, and the gradient of all
    hidden states in fp32. DPO's chosen and rejected answers are both among the tokens."""
    rows = min(tokens, TOKENS_PER_TILE)
    tile = rows * min(base.vocab_size, TOKENS_OF_VOCABULARY_PER_TILE)
    copies = _FP32_TILES_ON_CPU * tile * 4 if device == "cpu" else 0
    allocated = tile if device == "cpu" else rows * TOKENS_OF_VOCABULARY_PER_TILE
    return allocated * element_bytes + copies + tokens * base.hidden_size * 4
