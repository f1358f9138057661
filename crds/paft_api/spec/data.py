"""spec.sft.data and spec.preference.data: what the arms train on."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from paft_api.model import Model, Uri
from paft_api.spec.storage import SourceAccess


class DataFormat(StrEnum):
    """Form of each JSON line of a data file."""

    MESSAGES = "messages"
    """`messages`: a chat; the loss is on the assistant's turns only."""
    PROMPT_COMPLETION = "prompt-completion"
    """`prompt` and `completion`, both text or both messages; the loss is on the completion only."""
    PREFERENCE = "preference"
    """`prompt`, `chosen` and `rejected`, all text or all messages."""


class DataSource(SourceAccess):
    """One JSONL file, or a folder of `*.jsonl` files read in order of their names."""

    uri: Uri
    """`s3://` or `file://` address; a folder ends in `/`."""

    format: DataFormat
    """Form of the rows: messages or prompt-completion for SFT, preference for the preference arm."""


class DataSpec(Model):
    """Rows to train on and, apart from them, rows to evaluate on."""

    train: Annotated[tuple[DataSource, ...], Field(min_length=1, max_length=32)]
    """Training sources, concatenated in this order and then shuffled by training.seed."""

    eval: Annotated[tuple[DataSource, ...], Field(max_length=32)] = ()
    """Evaluation sources. Default: none, nothing is evaluated."""
