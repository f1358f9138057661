"""Every form of rows, as the rows that training takes."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trl.data_utils import maybe_convert_to_chatml, maybe_extract_prompt

from paft_api.spec.data import DataFormat
from paft_trainer.data.forms import FORMS
from paft_trainer.errors import DataInvalid

SYSTEM = {"role": "system", "content": "Add."}
USER = {"role": "user", "content": "2+2="}
FOUR = {"role": "assistant", "content": "4"}
FIVE = {"role": "assistant", "content": "5"}
TOOL = {"type": "function", "function": {"name": "add", "parameters": {"type": "object", "properties": {}}}}
CALL = {"role": "assistant", "tool_calls": [{"type": "function", "function": {"name": "add", "arguments": {"a": 2}}}]}
ANSWER = {"role": "tool", "name": "add", "content": "4"}
CHAT = [USER, FOUR]

CONVERTED: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "a chat with tools": (
        "messages",
        {"messages": [USER, CALL, ANSWER, FOUR], "tools": [TOOL], "id": 7},
        {"messages": [USER, CALL, ANSWER, FOUR], "tools": [TOOL]},
    ),
    "tools as JSON": ("messages", {"messages": CHAT, "tools": json.dumps([TOOL])}, {"messages": CHAT, "tools": [TOOL]}),
    "no tools": ("messages", {"messages": CHAT, "tools": []}, {"messages": CHAT}),
    "a call alone": ("messages", {"messages": [USER, CALL]}, {"messages": [USER, CALL]}),
    "texts": (
        "prompt-completion",
        {"prompt": "2+2=", "completion": "4", "tools": [TOOL]},
        {"prompt": "2+2=", "completion": "4"},
    ),
    "messages with tools": (
        "prompt-completion",
        {"prompt": [USER], "completion": [CALL], "tools": [TOOL]},
        {"prompt": [USER], "completion": [CALL], "tools": [TOOL]},
    ),
    "text": ("text", {"text": "2+2=4\n", "meta": {}}, {"text": "2+2=4\n"}),
    "ShareGPT": (
        "sharegpt",
        {"conversations": [{"from": "human", "value": "2+2="}, {"from": "gpt", "value": "4", "weight": 1}]},
        {"messages": CHAT},
    ),
    "ShareGPT with a system prompt": (
        "sharegpt",
        {"conversations": [{"from": "user", "value": "2+2="}, {"from": "assistant", "value": "4"}], "system": "Add."},
        {"messages": [SYSTEM, *CHAT]},
    ),
    "ShareGPT with calls": (
        "sharegpt",
        {
            "conversations": [
                {"from": "system", "value": "Add."},
                {"from": "human", "value": "2+2="},
                {"from": "function_call", "value": '{"name": "add", "arguments": {"a": 2}}'},
                {"from": "observation", "value": "4"},
                {"from": "gpt", "value": "4"},
            ],
            "tools": json.dumps([TOOL]),
        },
        {
            "messages": [SYSTEM, USER, CALL | {"content": ""}, {"role": "tool", "content": "4"}, FOUR],
            "tools": [TOOL],
        },
    ),
    "Alpaca": ("alpaca", {"instruction": "2+2=", "input": "", "output": "4"}, {"messages": CHAT}),
    "Alpaca with all it may have": (
        "alpaca",
        {
            "instruction": "Again:",
            "input": "2+2=",
            "output": "4",
            "system": "Add.",
            "history": [["2+2=", "5"]],
        },
        {"messages": [SYSTEM, USER, FIVE, {"role": "user", "content": "Again:\n2+2="}, FOUR]},
    ),
    "pairs of texts": (
        "preference",
        {"prompt": "2+2=", "chosen": "4", "rejected": "5", "score": 1},
        {"prompt": "2+2=", "chosen": "4", "rejected": "5"},
    ),
    "pairs of messages with tools": (
        "preference",
        {"prompt": [USER], "chosen": [CALL], "rejected": [FIVE], "tools": [TOOL]},
        {"prompt": [USER], "chosen": [CALL], "rejected": [FIVE], "tools": [TOOL]},
    ),
    "chats that share their prompt": (
        "preference",
        {"chosen": [SYSTEM, USER, FOUR], "rejected": [SYSTEM, USER, FIVE]},
        {"prompt": [SYSTEM, USER], "chosen": [FOUR], "rejected": [FIVE]},
    ),
    "chats beside the user's words": (
        "preference",
        {"prompt": "2+2=", "chosen": [USER, FOUR], "rejected": [USER, FIVE]},
        {"prompt": [USER], "chosen": [FOUR], "rejected": [FIVE]},
    ),
    "texts that share their prompt": (
        "preference",
        {"chosen": "H: 2+2=? A: 4", "rejected": "H: 2+2=? A: 5"},
        {"prompt": "H: 2+2=? A:", "chosen": " 4", "rejected": " 5"},
    ),
}


@pytest.mark.parametrize("name", CONVERTED)
def test_rows_are_converted(name: str) -> None:
    format_, document, expected = CONVERTED[name]
    before = json.dumps(document)
    assert FORMS[DataFormat(format_)]("rows:1", document) == expected
    assert json.dumps(document) == before


LETTERS = st.text("ab é", min_size=1, max_size=6)


@given(shared=LETTERS, chosen=LETTERS, rejected=LETTERS)
def test_the_prompt_of_texts_is_the_one_that_trl_finds(shared: str, chosen: str, rejected: str) -> None:
    document = {"chosen": shared + chosen, "rejected": shared + rejected}
    try:
        row = FORMS[DataFormat.PREFERENCE]("rows:1", document)
    except DataInvalid:
        # TRL takes such rows: pairs that are equal, and answers or prompts of blanks alone.
        return
    assert row == maybe_extract_prompt(document)
    assert row["prompt"] + row["chosen"] == document["chosen"]
    assert row["prompt"] + row["rejected"] == document["rejected"]


@given(texts=st.lists(LETTERS.filter(str.strip), min_size=2, max_size=8), shared=st.integers(1, 6))
def test_the_prompt_of_chats_is_the_one_that_trl_finds(texts: list[str], shared: int) -> None:
    turns = [{"role": ("user", "assistant")[index % 2], "content": text} for index, text in enumerate(texts)]
    shared = min(shared, len(turns) - 1) // 2 * 2 + 1
    document = {
        "chosen": [*turns[:shared], {"role": "assistant", "content": "yes"}],
        "rejected": [*turns[:shared], {"role": "assistant", "content": "no"}],
    }
    assert FORMS[DataFormat.PREFERENCE]("rows:1", document) == maybe_extract_prompt(document)


@given(texts=st.lists(LETTERS.filter(str.strip), min_size=2, max_size=8))
def test_chats_of_sharegpt_are_those_that_trl_makes_of_them(texts: list[str]) -> None:
    turns = [{"from": ("user", "assistant")[index % 2], "value": text} for index, text in enumerate(texts)]
    row = FORMS[DataFormat.SHAREGPT]("rows:1", {"conversations": turns})
    assert row == maybe_convert_to_chatml({"conversations": turns})
