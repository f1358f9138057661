"""Chats: `messages` with role and content, and `tools` where the assistant may call some."""

from typing import Any

from paft_trainer.data.forms.fields import Row, required, tools_of
from paft_trainer.data.row_checks import check_messages, says_something
from paft_trainer.errors import DataInvalid


def read_messages(place: str, document: Row) -> Row:
    """A chat. Raises DataInvalid."""
    messages = required(place, document, "messages")
    check_messages(place, "messages", messages)
    require_answer(place, "messages", messages)
    return {"messages": messages, **tools_of(place, document)}


def require_answer(place: str, name: str, messages: list[dict[str, Any]]) -> None:
    """Something has to be learnt from a chat. Raises DataInvalid."""
    turns = [message for message in messages if message["role"] == "assistant"]
    if not turns:
        raise DataInvalid(
            f"{place}: {name} has no turn of the assistant, so nothing can be learnt from it",
            remedy="Add the assistant's answer or take the row out.",
        )
    if not any(says_something(turn) for turn in turns):
        raise DataInvalid(
            f"{place}: the assistant says nothing in {name}, so nothing can be learnt from it",
            remedy="Fill the assistant's content in or take the row out.",
        )
