"""Alpaca's instructions as chats: the user says `instruction`, and `input` in the next line where there is one; the
assistant answers with `output`. `system` and `history` come before, as in LLaMA-Factory. The chat template of the base
is used, not the prompt that Stanford Alpaca was trained with."""

from typing import Any

from paft_trainer.data.forms.fields import Row, optional_text, required_text
from paft_trainer.data.row_checks import check_messages, shown
from paft_trainer.errors import DataInvalid


def read_alpaca(place: str, document: Row) -> Row:
    """An instruction with its answer as messages. Raises DataInvalid."""
    instruction = required_text(place, document, "instruction")
    output = required_text(place, document, "output")
    question = "\n".join(part for part in (instruction, optional_text(place, document, "input")) if part)
    for name, text in (("instruction", question), ("output", output)):
        if not text.strip():
            raise DataInvalid(f"{place}: {name} is empty", remedy="Fill it in or take the row out.")
    system = optional_text(place, document, "system")
    messages = [
        *([{"role": "system", "content": system}] if system else []),
        *_earlier(place, document.get("history")),
        {"role": "user", "content": question},
        {"role": "assistant", "content": output},
    ]
    check_messages(place, "the chat", messages)
    return {"messages": messages}


def _earlier(place: str, history: Any) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = []
    if history is None:
        return messages
    if not isinstance(history, list):
        history = [history]
    for index, pair in enumerate(history):
        if not isinstance(pair, list) or len(pair) != 2 or not all(isinstance(text, str) for text in pair):
            raise DataInvalid(
                f"{place}: history[{index}] is {shown(pair)}, not an instruction and its output",
                remedy='Write history as [["…", "…"], …].',
            )
        messages += [{"role": "user", "content": pair[0]}, {"role": "assistant", "content": pair[1]}]
    return messages
