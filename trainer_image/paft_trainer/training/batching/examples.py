"""Rows of either arm as token sequences: one each for SFT, two for preference pairs."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import torch

from paft_trainer.data.chat import IGNORED, Encoded
from paft_trainer.training.batching.layouts import TokenSequence

REFERENCE_COLUMNS = ("ref_chosen_logps", "ref_rejected_logps")
"""Reference log-probabilities of a pair's answers, under TRL's names."""

PROMPT_TOKENS = "prompt_tokens"
"""How many tokens of a pair's sequences are its prompt."""


class ExampleForm(Protocol):
    """What one row of an arm consists of."""

    def sequences(self, rows: Sequence[Mapping[str, Any]]) -> list[TokenSequence]:
        """Their sequences, in the order in which the loss expects them."""

    def extras(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
        """What the loss needs besides tokens."""

    def size(self, row: Encoded) -> tuple[int, int]:
        """`tokens` and `learnt_tokens` of a row."""

    def tokens(self, row: Encoded) -> int:
        """Tokens of a row in all its sequences."""

    def learnt_tokens(self, row: Encoded) -> int:
        """Tokens with a label in the sequence that the loss, or a term of it, is a mean over the tokens of."""


class ChatForm:
    """Rows with `input_ids` and `labels`, cut when they were encoded."""

    def sequences(self, rows: Sequence[Mapping[str, Any]]) -> list[TokenSequence]:
        """One for each row."""
        return [TokenSequence(ids=row["input_ids"], labels=row["labels"]) for row in rows]

    def extras(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
        """Nothing."""
        return {}

    def size(self, row: Encoded) -> tuple[int, int]:
        """See ExampleForm."""
        return self.tokens(row), self.learnt_tokens(row)

    def tokens(self, row: Encoded) -> int:
        """Tokens of the row."""
        return len(row["input_ids"])

    def learnt_tokens(self, row: Encoded) -> int:
        """Tokens with a label, without the first, which nothing comes before."""
        return sum(label != IGNORED for label in row["labels"][1:])


class PairForm:
    """Rows with `prompt_ids`, `chosen_ids` and `rejected_ids`; each answer is cut at `max_length` tokens, prompt
    included."""

    def __init__(self, max_length: int) -> None:
        self._max_length = max_length

    def sequences(self, rows: Sequence[Mapping[str, Any]]) -> list[TokenSequence]:
        """All chosen answers, then all rejected ones, each after its prompt."""
        return [self._answer(row, answer) for answer in ("chosen_ids", "rejected_ids") for row in rows]

    def extras(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
        """Reference log-probabilities, fp32, shape (rows,) each, of rows that have them."""
        if REFERENCE_COLUMNS[0] not in rows[0]:
            return {}
        return {name: torch.tensor([row[name] for row in rows], dtype=torch.float32) for name in REFERENCE_COLUMNS}

    def size(self, row: Encoded) -> tuple[int, int]:
        """See ExampleForm."""
        return self.tokens(row), self.learnt_tokens(row)

    def tokens(self, row: Encoded) -> int:
        """Tokens of both sequences."""
        return sum(len(sequence.ids) for sequence in self.sequences([row]))

    def learnt_tokens(self, row: Encoded) -> int:
        """Tokens with a label of the chosen sequence, without the first, which nothing comes before."""
        return sum(label != IGNORED for label in self._answer(row, "chosen_ids").labels[1:])

    def _answer(self, row: Mapping[str, Any], answer: str) -> TokenSequence:
        ids = [*row["prompt_ids"], *row[answer]]
        labels = [*[IGNORED] * len(row["prompt_ids"]), *row[answer]]
        return TokenSequence(ids=ids[: self._max_length], labels=labels[: self._max_length])


class PairFormWithPrompts(PairForm):
    """Pairs of which the chosen answer is learnt with its prompt; nothing is known of a reference."""

    def extras(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
        """Tokens of the prompts, shape (rows,)."""
        return {PROMPT_TOKENS: torch.tensor([len(row["prompt_ids"]) for row in rows])}

    def _answer(self, row: Mapping[str, Any], answer: str) -> TokenSequence:
        sequence = super()._answer(row, answer)
        return sequence._replace(labels=sequence.ids) if answer == "chosen_ids" else sequence
