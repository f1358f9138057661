"""Fields of a row whose columns have other names."""

from collections.abc import Mapping
from typing import Any

from paft_trainer.data.row_checks import shown_keys
from paft_trainer.errors import DataInvalid


def take_columns(place: str, document: dict[str, Any], columns: Mapping[str, str]) -> dict[str, Any]:
    """The document with fields under the names that forms know. Raises DataInvalid where a column is missing.

    A column that is one field is not another, too.
    """
    renamed = {field: column for field, column in columns.items() if field != column}
    if not renamed:
        return document
    rest = {name: value for name, value in document.items() if name not in renamed.values() and name not in renamed}
    for field, column in renamed.items():
        if column in document:
            rest[field] = document[column]
        elif field not in _OPTIONAL:
            raise DataInvalid(
                f"{place}: the column {column} of columns.{field} is missing; the row has {shown_keys(document)}",
                remedy=f"Correct columns.{field}, or add the column.",
            )
    return rest


_OPTIONAL = ("tools", "system", "input", "history")
"""Fields that a row may lack."""
