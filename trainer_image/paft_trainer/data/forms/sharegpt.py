"""ShareGPT's chats: `conversations` of `from` and `value`, with a system prompt and tools beside them or within.

Names of roles are those that Axolotl and LLaMA-Factory know. A `function_call` is the assistant's, its value the JSON
of one call or a list of calls; an `observation` is what the tool answers.
"""

import json
from typing import Any

from paft_trainer.data.forms.fields import Row, optional_text, required, tools_of
from paft_trainer.data.forms.messages import require_answer
from paft_trainer.data.row_checks import check_messages, shown
from paft_trainer.errors import DataInvalid

ROLES = {
    "system": "system",
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "assistant": "assistant",
    "chatgpt": "assistant",
    "bing": "assistant",
    "bard": "assistant",
    "tool": "tool",
    "observation": "tool",
    "function_call": "assistant",
}
"""What each name of `from` is in a chat."""


def read_sharegpt(place: str, document: Row) -> Row:
    """A chat of ShareGPT as messages. Raises DataInvalid."""
    turns = required(place, document, "conversations")
    if not isinstance(turns, list) or not turns:
        raise DataInvalid(
            f"{place}: conversations is {shown(turns)}, not a list of turns",
            remedy='Write it as [{"from": "human", "value": "…"}, …].',
        )
    messages = [_message(place, f"conversations[{index}]", turn) for index, turn in enumerate(turns)]
    system = optional_text(place, document, "system")
    if system:
        if messages[0]["role"] == "system":
            raise DataInvalid(
                f"{place}: system is given, and conversations[0] is the system's, too",
                remedy="Take one of the two out.",
            )
        messages = [{"role": "system", "content": system}, *messages]
    check_messages(place, "conversations", messages)
    require_answer(place, "conversations", messages)
    return {"messages": messages, **tools_of(place, document)}


def _message(place: str, name: str, turn: Any) -> dict[str, Any]:
    if not isinstance(turn, dict) or "from" not in turn or "value" not in turn:
        raise DataInvalid(
            f"{place}: {name} is {shown(turn)}, not a turn with from and value",
            remedy='Write it as {"from": "human", "value": "…"}, or use format messages.',
        )
    speaker, value = turn["from"], turn["value"]
    if not isinstance(speaker, str) or speaker not in ROLES:
        raise DataInvalid(f"{place}: {name}.from is {shown(speaker)}", remedy=f"Use {', '.join(ROLES)}.")
    if not isinstance(value, str):
        raise DataInvalid(f"{place}: {name}.value is {shown(value)}, not text", remedy="Write it as text.")
    if speaker == "function_call":
        return {"role": "assistant", "content": "", "tool_calls": _calls(place, name, value)}
    return {"role": ROLES[speaker], "content": value}


def _calls(place: str, name: str, value: str) -> list[dict[str, Any]]:
    try:
        calls = json.loads(value)
    except (ValueError, RecursionError):
        calls = None
    calls = calls if isinstance(calls, list) else [calls]
    for call in calls:
        if not isinstance(call, dict) or not isinstance(call.get("name"), str) or "arguments" not in call:
            raise DataInvalid(
                f"{place}: {name}.value is {shown(value)}, not the JSON of a call",
                remedy='Write it as {"name": "…", "arguments": {…}}, or as a list of these.',
            )
    return [{"type": "function", "function": {"name": call["name"], "arguments": call["arguments"]}} for call in calls]
