"""Plain text, all of which is learnt."""

from paft_trainer.data.forms.fields import Row, required_text
from paft_trainer.data.row_checks import check_text
from paft_trainer.errors import DataInvalid


def read_text(place: str, document: Row) -> Row:
    """A text. Raises DataInvalid."""
    text = required_text(place, document, "text")
    check_text(place, "text", text)
    if not text.strip():
        raise DataInvalid(f"{place}: text is empty", remedy="Fill it in or take the row out.")
    return {"text": text}
