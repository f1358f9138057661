"""Whether an arm's rows are packed: as the job says, where the model can be kept from mixing them."""

from typing import Any

from transformers import PreTrainedTokenizerBase

from paft_api.spec.training import TrainingSpec
from paft_trainer.training.batching.batching import Batching
from paft_trainer.training.isolated_attention import ISOLATING_MODEL_TYPES, isolate_rows


def choose_batching(
    training: TrainingSpec, model: Any, tokenizer: PreTrainedTokenizerBase, *, sequences_per_row: int
) -> Batching:
    """The batching of one arm; the model is prepared for it. `sequences_per_row`: 1 for SFT, 2 for pairs.

    A model whose rows could see each other is trained on padded batches, which give the same result: the log says so.
    """
    is_packed = training.packing and isolate_rows(model)
    if training.packing and not is_packed:
        print(
            f"training.packing: rows are padded instead, with the same result: in the architecture "
            f"{model.config.model_type} packed rows are not known to stay apart "
            f"(they do in {', '.join(sorted(ISOLATING_MODEL_TYPES))})",
            flush=True,
        )
    return Batching(
        is_packed=is_packed,
        rows_per_pass=training.micro_batch_size,
        tokens_per_pass=training.micro_batch_size * training.max_length * sequences_per_row,
        pad_token_id=tokenizer.pad_token_id or 0,
    )
