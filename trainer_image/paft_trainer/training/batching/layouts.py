"""Token sequences as the tensors of one forward pass: one after the other without padding, or padded side by side.

A sequence is its token ids and its labels (`IGNORED` where nothing is learnt), equally long.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch.nn.functional import pad

from paft_trainer.data.chat import IGNORED


class TokenSequence(NamedTuple):
    """One sequence of tokens."""

    ids: list[int]
    labels: list[int]


def packed(sequences: Sequence[TokenSequence]) -> dict[str, Any]:
    """All sequences in one, shape (1, tokens), with no padding.

    `position_ids` begin anew with each sequence. `row_lengths` tells the attention where it has to stop (see
    `training.isolated_attention`). The first token of a sequence has no label: the token before it is another's.
    """
    positions = [position for sequence in sequences for position in range(len(sequence.ids))]
    ids = [token for sequence in sequences for token in sequence.ids]
    labels = [label for sequence in sequences for label in (IGNORED, *sequence.labels[1:])]
    return {
        "input_ids": torch.tensor([ids]),
        "position_ids": torch.tensor([positions]),
        "labels": torch.tensor([labels]),
        "row_lengths": tuple(len(sequence.ids) for sequence in sequences),
    }


def padded(sequences: Sequence[TokenSequence], *, pad_token_id: int) -> dict[str, Any]:
    """One sequence in each row, shape (sequences, longest), filled up on the right."""
    longest = max(len(sequence.ids) for sequence in sequences)

    def filled(rows: Sequence[Sequence[int]], value: int) -> torch.Tensor:
        return torch.tensor([[*row, *[value] * (longest - len(row))] for row in rows])

    return {
        "input_ids": filled([sequence.ids for sequence in sequences], pad_token_id),
        "attention_mask": filled([[1] * len(sequence.ids) for sequence in sequences], 0),
        "labels": filled([sequence.labels for sequence in sequences], IGNORED),
    }


def token_count(inputs: dict[str, Any]) -> int:
    """Tokens of a pass that are no padding."""
    return sum(inputs["row_lengths"]) if "row_lengths" in inputs else int(inputs["attention_mask"].sum())


def sequence_sums(
    values: torch.Tensor, row_lengths: Sequence[int] | None, *, skipping: Sequence[int] | None = None
) -> torch.Tensor:
    """Sums over each sequence of what TRL's fused head tells of each token, shape (sequences,).

    `values`: shape (rows, tokens - 1), zero at tokens without a label; entry t is about token t + 1. `row_lengths`: of
    the packed layout, None for the padded one. `skipping`: how many of each sequence's first tokens are left out.
    """
    if row_lengths is None and skipping is None:
        return values.sum(dim=1)
    by_token = pad(values, (1, 0))
    parts = by_token.unbind() if row_lengths is None else by_token[0].split(list(row_lengths))
    return torch.stack([part[first:].sum() for part, first in zip(parts, skipping or [0] * len(parts), strict=True)])
