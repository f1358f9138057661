"""A prompt and its completion, both texts or both messages."""

from paft_trainer.data.forms.fields import Row, required, tools_of
from paft_trainer.data.row_checks import check_alike


def read_prompt_completion(place: str, document: Row) -> Row:
    """A pair of prompt and completion. Raises DataInvalid."""
    row = {name: required(place, document, name) for name in ("prompt", "completion")}
    check_alike(place, row)
    return row if isinstance(row["prompt"], str) else {**row, **tools_of(place, document)}
