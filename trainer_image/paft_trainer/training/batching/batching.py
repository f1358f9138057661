"""How an arm forms its forward passes: packed where the model can be kept from mixing rows, padded elsewhere."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from paft_trainer.training.batching.layouts import TokenSequence, packed, padded
from paft_trainer.training.batching.passes import Passes, fixed_passes, packed_passes


@dataclass(frozen=True, kw_only=True, slots=True)
class Batching:
    """`is_packed`: rows follow one another without padding, as many in a pass as fit into `tokens_per_pass`.

    Otherwise each pass has `rows_per_pass` rows (training.microBatchSize), padded to the longest. `pad_token_id`: what
    fills them up.
    """

    is_packed: bool
    rows_per_pass: int
    tokens_per_pass: int
    pad_token_id: int

    def plan(self, lengths: Sequence[int], *, processes: int) -> list[Passes]:
        """The passes of each process for rows of these lengths."""
        if self.is_packed:
            return packed_passes(lengths, processes=processes, tokens_per_pass=self.tokens_per_pass)
        return fixed_passes(len(lengths), processes=processes, rows_per_pass=self.rows_per_pass)

    def lay_out(self, sequences: Sequence[TokenSequence]) -> dict[str, Any]:
        """The tensors of one pass."""
        return packed(sequences) if self.is_packed else padded(sequences, pad_token_id=self.pad_token_id)
