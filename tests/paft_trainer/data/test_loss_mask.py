"""What is learnt of a row, by each option and its values."""

from typing import Any

import pytest
from tests.paft_trainer.data.test_chat import FIVE, FOUR, SYSTEM, USER, learnt, text
from tests.tiny_models import CHATML, byte_tokenizer

from paft_trainer.data.chat import encode_row
from paft_trainer.data.loss_mask import LossMask, encode_masked_row
from paft_trainer.errors import ConfigInvalid

MARKED = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.role == 'assistant' %}{% generation %}{{ m.content }}"
    "<|im_end|>{% endgeneration %}\n{% else %}{{ m.content }}<|im_end|>\n{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""ChatML that marks answers without the line break after them."""

FORGETFUL = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.role == 'assistant' %}{% generation %}"
    "{{ m.content if loop.last else '…' }}<|im_end|>{% endgeneration %}{% else %}{{ m.content }}<|im_end|>{% endif %}"
    "{% endfor %}"
)
"""Earlier answers are shortened once a chat goes on, as where thoughts are taken out."""

CHAT = {"messages": [SYSTEM, USER, FOUR, USER, FIVE]}
PARTS = {"prompt": [USER, FOUR, USER], "completion": [FIVE]}
TEXTS = {"prompt": "2+2=", "completion": "4"}
WHOLE = "<|im_start|>user\n2+2=<|im_end|>\n<|im_start|>assistant\n"


@pytest.mark.parametrize(
    ("row", "mask", "expected"),
    [
        (CHAT, {}, ["4<|im_end|>\n", "5<|im_end|>\n"]),
        (CHAT, {"completion_only": False}, ["4<|im_end|>\n", "5<|im_end|>\n"]),
        (PARTS, {}, ["5<|im_end|>\n"]),
        (PARTS, {"completion_only": False}, ["4<|im_end|>\n", "5<|im_end|>\n"]),
        (PARTS, {"assistant_only": False}, ["5<|im_end|>\n"]),
        (PARTS, {"assistant_only": False, "completion_only": False}, [f"{WHOLE}4<|im_end|>\n{WHOLE}5<|im_end|>\n"]),
        (TEXTS, {"assistant_only": False}, ["4<|im_end|>"]),
        (TEXTS, {"completion_only": False}, ["2+2=4<|im_end|>"]),
        ({"text": "2+2=4"}, {"assistant_only": False, "completion_only": False}, ["2+2=4<|im_end|>"]),
    ],
)
def test_what_is_learnt(row: dict[str, Any], mask: dict[str, bool], expected: list[str]) -> None:
    tokenizer = byte_tokenizer()

    encoded = encode_masked_row(tokenizer, row, 500, LossMask(**mask))

    assert learnt(tokenizer, encoded) == expected
    assert encoded["input_ids"] == encode_row(tokenizer, row, 500)["input_ids"]


def test_every_token_of_a_chat_is_learnt_without_assistant_only() -> None:
    encoded = encode_masked_row(byte_tokenizer(), CHAT, 500, LossMask(assistant_only=False))

    assert encoded["labels"] == encoded["input_ids"]


@pytest.mark.parametrize(
    ("row", "completion_only", "expected"),
    [
        (CHAT, True, ["4<|im_end|>", "5<|im_end|>"]),
        (PARTS, True, ["5<|im_end|>"]),
        (PARTS, False, ["4<|im_end|>", "5<|im_end|>"]),
    ],
)
def test_marks_of_the_template_tell_what_is_learnt(
    row: dict[str, Any], completion_only: bool, expected: list[str]
) -> None:
    tokenizer = byte_tokenizer(chat_template=MARKED)

    encoded = encode_masked_row(tokenizer, row, 500, LossMask(by_marks=True, completion_only=completion_only))

    assert learnt(tokenizer, encoded) == expected
    messages = row.get("messages") or [*row["prompt"], *row["completion"]]
    assert encoded["input_ids"] == tokenizer.apply_chat_template(messages, return_dict=False)


def test_marks_are_those_that_transformers_finds() -> None:
    tokenizer = byte_tokenizer(chat_template=MARKED)
    found = tokenizer.apply_chat_template(CHAT["messages"], return_dict=True, return_assistant_tokens_mask=True)

    encoded = encode_masked_row(tokenizer, CHAT, 500, LossMask(by_marks=True))

    assert [int(label >= 0) for label in encoded["labels"]] == found["assistant_masks"]


def test_marks_serve_templates_that_render_beginnings_differently() -> None:
    tokenizer = byte_tokenizer(chat_template=FORGETFUL)

    encoded = encode_masked_row(tokenizer, CHAT, 500, LossMask(by_marks=True))

    assert learnt(tokenizer, encoded) == ["…<|im_end|>", "5<|im_end|>"]
    assert text(tokenizer, encoded).endswith("assistant\n5<|im_end|>")
    with pytest.raises(ConfigInvalid, match="renders the beginning of a conversation differently"):
        encode_masked_row(tokenizer, CHAT, 500, LossMask())


@pytest.mark.parametrize(
    ("template", "message"),
    [
        (CHATML, "sft.training.assistantMask is generation, but the chat template has no {% generation %} marks"),
        (
            "{% for m in messages %}{{ m.content }}{% if m.role == 'user' %}{% generation %}!{% endgeneration %}"
            "{% endif %}{% endfor %}",
            "the chat template marks 1 places with {% generation %} in a chat with 2 turns of the assistant",
        ),
    ],
)
def test_templates_without_a_mark_for_each_turn_are_refused(template: str, message: str) -> None:
    row = {"messages": [FOUR, USER, FIVE]}

    with pytest.raises(ConfigInvalid) as caught:
        encode_masked_row(byte_tokenizer(chat_template=template), row, 500, LossMask(by_marks=True))

    assert caught.value.message == message
