"""Whole sources as tokens, and which of their rows anything can be learnt from."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial

from transformers import PreTrainedTokenizerBase

from paft_api.spec.data import DataFormat, DataSource
from paft_api.spec.training import TrainingSpec
from paft_trainer.data.chat import IGNORED, Encoded, encode_pair
from paft_trainer.data.loss_mask import BY_DEFAULT, LossMask, encode_masked_row
from paft_trainer.data.rows import PlacedRow, Row
from paft_trainer.errors import ConfigInvalid, DataInvalid

Encoder = Callable[[Row], Encoded]
"""From a row to its tokens. Raises ConfigInvalid."""


def encode_rows(
    tokenizer: PreTrainedTokenizerBase,
    source: DataSource,
    rows: Iterable[Row],
    *,
    max_length: int,
    mask: LossMask = BY_DEFAULT,
) -> Iterator[Encoded]:
    """Rows from the beginning of a source as tokens. Raises ConfigInvalid with the row's number."""
    encode = encoder(tokenizer, source.format, max_length, mask)
    for number, row in enumerate(rows, start=1):
        try:
            yield encode(row)
        except ConfigInvalid as error:
            raise ConfigInvalid(f"{source.uri}, row {number}: {error.message}", remedy=error.remedy) from error


def encode_placed(encode: Encoder, placed: PlacedRow) -> Encoded:
    """One row as tokens. Raises ConfigInvalid with its place."""
    try:
        return encode(placed.row)
    except ConfigInvalid as error:
        raise ConfigInvalid(f"{placed.place}: {error.message}", remedy=error.remedy) from error


def is_usable(encoded: Encoded, max_length: int) -> bool:
    """Whether anything is left to learn within `max_length` tokens."""
    if "labels" in encoded:
        return any(label != IGNORED for label in encoded["labels"])
    return len(encoded["prompt_ids"]) < max_length and bool(encoded["chosen_ids"]) and bool(encoded["rejected_ids"])


def require_full_batch(training: TrainingSpec, sources: Sequence[DataSource], *, usable: int) -> None:
    """Raises DataInvalid where too few rows can be learnt from for one optimizer step."""
    if usable < training.global_batch_size:
        raise DataInvalid(
            f"{', '.join(source.uri for source in sources)}: only {usable} rows have a token to learn within "
            f"training.maxLength {training.max_length}, fewer than training.globalBatchSize "
            f"{training.global_batch_size}",
            remedy="Raise training.maxLength, lower training.globalBatchSize or add rows.",
        )


def encoder(
    tokenizer: PreTrainedTokenizerBase, format_: DataFormat, max_length: int, mask: LossMask = BY_DEFAULT
) -> Encoder:
    """What makes tokens of the rows of one format."""
    if format_ is DataFormat.PREFERENCE:
        return partial(encode_pair, tokenizer)
    return partial(encode_masked_row, tokenizer, max_length=max_length, mask=mask)
