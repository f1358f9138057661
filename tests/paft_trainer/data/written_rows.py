"""Rows as files of every type, written by the libraries that users write them with."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from paft_api.spec.data import FileType

Rows = Sequence[dict[str, Any]]


def write_rows(folder: Path, type_: FileType, rows: Rows, *, name: str = "rows", rows_per_block: int = 2) -> Path:
    """A file of this type. CSV and TSV have lists as JSON."""
    path = folder / f"{name}.{type_}"
    if type_ is FileType.JSONL:
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    elif type_ is FileType.JSON:
        path.write_text(json.dumps(list(rows), ensure_ascii=False, indent=1), encoding="utf-8")
    elif type_ in (FileType.CSV, FileType.TSV):
        _write_delimited(path, rows, "," if type_ is FileType.CSV else "\t")
    elif type_ is FileType.PARQUET:
        pq.write_table(pa.Table.from_pylist(list(rows)), path, row_group_size=rows_per_block)
    else:
        write_arrow(path, rows, rows_per_block=rows_per_block)
    return path


def write_arrow(path: Path, rows: Rows, *, as_stream: bool = False, rows_per_block: int = 2) -> None:
    """An Arrow file, or a stream."""
    table = pa.Table.from_pylist(list(rows))
    create = pa.ipc.new_stream if as_stream else pa.ipc.new_file
    with path.open("wb") as file, create(file, table.schema) as writer:
        writer.write_table(table, max_chunksize=rows_per_block)


def _write_delimited(path: Path, rows: Rows, separator: str) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter=separator)
        writer.writeheader()
        for row in rows:
            writer.writerow(
                {name: value if isinstance(value, str) else json.dumps(value) for name, value in row.items()}
            )
