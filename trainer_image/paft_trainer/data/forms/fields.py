"""Fields of a document: those that a form needs, and those that it may have."""

from typing import Any

from paft_trainer.data.row_checks import check_tools, shown, shown_keys
from paft_trainer.errors import DataInvalid

Row = dict[str, Any]


def required(place: str, document: Row, name: str) -> Any:
    """The value of a field. Raises DataInvalid where there is none."""
    if name not in document:
        raise DataInvalid(
            f"{place}: the field {name} is missing; the row has {shown_keys(document)}",
            remedy="Add the field, name its column in `columns`, or correct `format` of this source.",
        )
    return document[name]


def required_text(place: str, document: Row, name: str) -> str:
    """A text. Raises DataInvalid."""
    return _text(place, name, required(place, document, name))


def optional_text(place: str, document: Row, name: str) -> str:
    """A text, empty where there is none. Raises DataInvalid."""
    value = document.get(name)
    return "" if value is None else _text(place, name, value)


def tools_of(place: str, document: Row) -> Row:
    """`{"tools": …}`, or nothing where a row has no tools. Raises DataInvalid."""
    tools = check_tools(place, document.get("tools"))
    return {"tools": tools} if tools else {}


def _text(place: str, name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise DataInvalid(f"{place}: {name} is {shown(value)}, not text", remedy="Write it as text.")
    return value
