"""What the fields of a row must be: texts, or lists of messages, and tools beside these."""

import json
from collections.abc import Mapping
from typing import Any

from paft_trainer.errors import DataInvalid

ROLES = ("system", "user", "assistant", "tool")

_LONGEST_SHOWN = 60
"""Characters of a value that a message repeats."""


def check_alike(place: str, row: Mapping[str, Any]) -> None:
    """All fields are texts, or all are message lists whose answers are the assistant's. Raises DataInvalid."""
    for name, value in row.items():
        if not isinstance(value, str | list):
            raise DataInvalid(
                f"{place}: {name} is {shown(value)}, neither text nor a list of messages",
                remedy="Write all fields of a row as texts, or all as lists of messages.",
            )
    are_texts = all(isinstance(value, str) for value in row.values())
    for name, value in row.items():
        if are_texts:
            check_text(place, name, value)
            filled = bool(value.strip())
        else:
            check_messages(place, name, value)
            filled = name == "prompt" or any(says_something(message) for message in value)
            if name != "prompt":
                _check_answer(place, name, value)
        if not filled:
            raise DataInvalid(f"{place}: {name} is empty", remedy="Fill it in or take the row out.")


def check_messages(place: str, name: str, messages: Any) -> None:
    """A list of messages, each with a role and a text. Raises DataInvalid."""
    if not isinstance(messages, list) or not messages:
        raise DataInvalid(
            f"{place}: {name} is {shown(messages)}, not a list of messages",
            remedy='Write it as [{"role": "user", "content": "…"}, …]; all fields of a row have the same form.',
        )
    for index, message in enumerate(messages):
        _check_message(place, f"{name}[{index}]", message)


def check_tools(place: str, tools: Any) -> list[Any] | None:
    """What the assistant may call: JSON schemas of functions, as a list or as its JSON. Raises DataInvalid."""
    if isinstance(tools, str) and tools.strip():
        try:
            tools = json.loads(tools)
        except (ValueError, RecursionError) as error:
            raise DataInvalid(
                f"{place}: tools is {shown(tools)}, not JSON", remedy="Write tools as a list of JSON schemas."
            ) from error
    if not tools:
        return None
    if not isinstance(tools, list) or not all(isinstance(tool, dict) for tool in tools):
        raise DataInvalid(
            f"{place}: tools is {shown(tools)}, not a list of JSON schemas",
            remedy='Write it as [{"type": "function", "function": {"name": "…", "parameters": {…}}}, …].',
        )
    return tools


def says_something(message: Mapping[str, Any]) -> bool:
    """Whether a message has words or calls a tool."""
    return bool((message.get("content") or "").strip() or message.get("tool_calls"))


def shown(value: Any) -> str:
    """The beginning of a value as JSON, always valid text."""
    text = _valid(json.dumps(value, ensure_ascii=False, default=str))
    return text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 3] + "…"


def shown_keys(row: Mapping[str, Any]) -> str:
    """The first names of fields."""
    names = sorted(row)
    text = ", ".join(shown(name)[1:-1] for name in names[:8])
    return f"{text}, …" if len(names) > 8 else text or "none"


def _check_message(place: str, name: str, message: Any) -> None:
    calls = message.get("tool_calls") if isinstance(message, dict) else None
    if not isinstance(message, dict) or "role" not in message or ("content" not in message and not calls):
        raise DataInvalid(
            f"{place}: {name} is {shown(message)}, not a message with role and content",
            remedy='Write it as {"role": "user", "content": "…"}.',
        )
    if message["role"] not in ROLES:
        raise DataInvalid(f"{place}: {name}.role is {shown(message['role'])}", remedy=f"Use {', '.join(ROLES)}.")
    if calls:
        _check_calls(place, f"{name}.tool_calls", calls)
        if message.get("content") is None:
            return
    if not isinstance(message["content"], str):
        raise DataInvalid(
            f"{place}: {name}.content is {shown(message['content'])}, not text", remedy="Content must be text."
        )
    check_text(place, f"{name}.content", message["content"])


def _check_calls(place: str, name: str, calls: Any) -> None:
    if not isinstance(calls, list) or not all(isinstance(call, dict) for call in calls):
        raise DataInvalid(
            f"{place}: {name} is {shown(calls)}, not a list of calls",
            remedy='Write it as [{"type": "function", "function": {"name": "…", "arguments": {…}}}].',
        )


def _check_answer(place: str, name: str, messages: list[dict[str, Any]]) -> None:
    for verb, message in (("begins", messages[0]), ("ends", messages[-1])):
        if message["role"] != "assistant":
            raise DataInvalid(
                f"{place}: {name} {verb} with role {message['role']!r}",
                remedy="An answer must begin and end with a message of role assistant.",
            )


def check_text(place: str, name: str, text: str) -> None:
    """Valid Unicode. Raises DataInvalid."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise DataInvalid(
            f"{place}: {name} holds {text[error.start]!r} at character {error.start}, half of a surrogate pair",
            remedy="Write the character as a whole pair of escapes, or as itself in UTF-8.",
        ) from error


def _valid(text: str) -> str:
    return text.encode(errors="backslashreplace").decode()
