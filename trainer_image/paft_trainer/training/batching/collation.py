"""Evaluation rows as padded batches, for the Trainer's own evaluation loop."""

from collections.abc import Mapping, Sequence
from typing import Any

from paft_trainer.training.batching.examples import ExampleForm
from paft_trainer.training.batching.layouts import padded


class PaddedCollator:
    """A collator in transformers' sense: rows of the data set to tensors."""

    def __init__(self, form: ExampleForm, *, pad_token_id: int) -> None:
        self._form = form
        self._pad_token_id = pad_token_id

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        return padded(self._form.sequences(rows), pad_token_id=self._pad_token_id) | self._form.extras(rows)
