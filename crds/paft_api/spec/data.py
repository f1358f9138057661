"""spec.sft.data and spec.preference.data: what the arms train on."""

from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, StringConstraints, model_validator

from paft_api.model import Model, Uri
from paft_api.spec.storage import SourceAccess


class DataFormat(StrEnum):
    """Form of each row of a source."""

    MESSAGES = "messages"
    """`messages`: a chat, with `tools` where it has some; the loss is on the assistant's turns only."""
    PROMPT_COMPLETION = "prompt-completion"
    """`prompt` and `completion`, both text or both messages; the loss is on the completion only."""
    TEXT = "text"
    """`text`; the loss is on all of it."""
    SHAREGPT = "sharegpt"
    """`conversations` of `from` and `value`; the loss is on the assistant's turns only."""
    ALPACA = "alpaca"
    """`instruction`, `input` and `output`; the loss is on the output, and on the answers of `history`."""
    PREFERENCE = "preference"
    """`chosen` and `rejected` after a `prompt`, all text or all messages; without `prompt` both begin with it."""


class FileType(StrEnum):
    """How the files of a source are written."""

    AUTO = "auto"
    """By their names, else by how they begin."""
    JSONL = "jsonl"
    """One JSON object in each line."""
    JSON = "json"
    """One array of JSON objects."""
    CSV = "csv"
    """Comma-separated values (RFC 4180) with a header."""
    TSV = "tsv"
    """The same, separated by tabs."""
    PARQUET = "parquet"
    """Apache Parquet."""
    ARROW = "arrow"
    """Apache Arrow, as a file or as a stream."""


FieldName = Annotated[str, StringConstraints(min_length=1, max_length=64)]
ColumnName = Annotated[str, StringConstraints(min_length=1, max_length=253)]


FIELDS: dict[DataFormat, tuple[str, ...]] = {
    DataFormat.MESSAGES: ("messages", "tools"),
    DataFormat.PROMPT_COMPLETION: ("prompt", "completion", "tools"),
    DataFormat.TEXT: ("text",),
    DataFormat.SHAREGPT: ("conversations", "system", "tools"),
    DataFormat.ALPACA: ("instruction", "input", "output", "system", "history"),
    DataFormat.PREFERENCE: ("prompt", "chosen", "rejected", "tools"),
}
"""Fields of the rows of each format."""

SFT_FORMATS = tuple(format_ for format_ in DataFormat if format_ is not DataFormat.PREFERENCE)
"""What the supervised arm trains on."""


class DataSource(SourceAccess):
    """One file, or a folder of files of one type, read in order of their names; also a Hugging Face data set."""

    uri: Uri
    """`s3://` or `file://` address; a folder ends in `/`."""

    format: DataFormat
    """Form of the rows: messages, prompt-completion, text, sharegpt or alpaca for SFT, preference for the preference
    arm."""

    file_type: FileType = FileType.AUTO
    """How the files are written: jsonl, json, csv, tsv, parquet or arrow. Default: auto, by their names, else by how
    they begin."""

    split: Annotated[str, StringConstraints(max_length=64, pattern=r"^\w+(\.\w+)*$")] | None = None
    """Split of a Hugging Face data set. Default: the only one."""

    columns: Annotated[dict[FieldName, ColumnName], Field(max_length=8)] = {}
    """Columns of these files by the fields of the format that they are, such as {messages: conversations}. Default: the
    columns have the names of the fields."""

    weight: Annotated[float, Field(gt=0, le=1000)] = 1.0
    """How often each row comes in an epoch: 2 is twice; 0.5 is half of the rows, in each epoch others. Only for
    training rows. Default: 1.0."""

    @model_validator(mode="after")
    def _columns_fit(self) -> Self:
        fields = FIELDS[self.format]
        strange = next((name for name in self.columns if name not in fields), None)
        if strange is not None:
            raise ValueError(f"columns.{strange} is no field of {self.format}; use {', '.join(fields)}")
        return self


class DataSpec(Model):
    """Rows to train on and, apart from them, rows to evaluate on."""

    train: Annotated[tuple[DataSource, ...], Field(min_length=1, max_length=32)]
    """Training sources, concatenated in this order, each as often as its weight says, and then shuffled by
    training.seed."""

    eval: Annotated[tuple[DataSource, ...], Field(max_length=32)] = ()
    """Evaluation sources. Default: none, nothing is evaluated."""

    max_bad_rows: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    """Rows of train, and as many of eval, that may be wrong: they are left out and told. One more ends the job.
    Default: 0."""

    @model_validator(mode="after")
    def _evaluation_has_no_weights(self) -> Self:
        for index, source in enumerate(self.eval):
            if source.weight != 1.0:
                raise ValueError(f"eval[{index}].weight has no meaning, as each row is evaluated once; remove it")
        return self
