"""Preference pairs in TRL's forms: texts or messages, with the prompt beside both answers or within them.

Without `prompt`, and where it is a text beside whole chats, the prompt is what both answers begin with: for chats the
messages that they share, for texts the characters, without a space before the first difference (TRL's extract_prompt).
"""

from typing import Any

from paft_trainer.data.forms.fields import Row, required, tools_of
from paft_trainer.data.row_checks import check_alike, check_messages, check_text, shown
from paft_trainer.errors import DataInvalid

ANSWERS = ("chosen", "rejected")


def read_preference(place: str, document: Row) -> Row:
    """A pair of answers to one prompt. Raises DataInvalid."""
    answers = {name: required(place, document, name) for name in ANSWERS}
    if _has_explicit_prompt(document, answers):
        row = {"prompt": required(place, document, "prompt"), **answers}
        check_alike(place, row)
        _refuse_equal(place, row)
    else:
        row = _with_shared_prompt(place, answers)
    return row if isinstance(row["prompt"], str) else {**row, **tools_of(place, document)}


def _has_explicit_prompt(document: Row, answers: Row) -> bool:
    prompt = document.get("prompt")
    if prompt is None and "prompt" not in document:
        return False
    # Some data sets repeat the user's words as a text beside whole chats, which have the system's words, too.
    are_chats = all(_is_chat(answer) and answer[0].get("role") != "assistant" for answer in answers.values())
    return not (isinstance(prompt, str) and are_chats)


def _is_chat(answer: Any) -> bool:
    return isinstance(answer, list) and bool(answer) and isinstance(answer[0], dict)


def _with_shared_prompt(place: str, answers: Row) -> Row:
    for name, answer in answers.items():
        if isinstance(answer, str):
            check_text(place, name, answer)
        else:
            check_messages(place, name, answer)
    chosen, rejected = answers["chosen"], answers["rejected"]
    if isinstance(chosen, str) != isinstance(rejected, str):
        raise DataInvalid(
            f"{place}: chosen is {shown(chosen)}, but rejected is {shown(rejected)}",
            remedy="Write both as texts, or both as lists of messages.",
        )
    _refuse_equal(place, answers)
    length = _shared_length(chosen, rejected)
    if length == 0:
        raise DataInvalid(
            f"{place}: there is no prompt, and chosen and rejected begin with nothing that is the same",
            remedy="Add the field prompt, or begin both answers with it.",
        )
    row = {"prompt": chosen[:length], "chosen": chosen[length:], "rejected": rejected[length:]}
    for name in ANSWERS:
        if not row[name]:
            raise DataInvalid(
                f"{place}: {name} is empty after the prompt that both answers begin with",
                remedy="Fill it in or take the row out.",
            )
    check_alike(place, row)
    return row


def _shared_length(chosen: Any, rejected: Any) -> int:
    longest = min(len(chosen), len(rejected))
    length = next((index for index in range(longest) if chosen[index] != rejected[index]), longest)
    return length - 1 if length and chosen[length - 1] == " " else length


def _refuse_equal(place: str, row: Row) -> None:
    if row["chosen"] == row["rejected"]:
        raise DataInvalid(
            f"{place}: chosen and rejected are equal, so the pair says nothing", remedy="Take the row out."
        )
