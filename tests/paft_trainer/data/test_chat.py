"""Rows as tokens: what is learnt, and what is context only."""

from typing import Any

import pytest
from tests.tiny_models import byte_tokenizer
from transformers import PreTrainedTokenizerFast

from paft_trainer.data.chat import IGNORED, encode_messages, encode_pair, encode_prompt_completion
from paft_trainer.errors import ConfigInvalid

SYSTEM = {"role": "system", "content": "Add."}
USER = {"role": "user", "content": "2+2="}
FOUR = {"role": "assistant", "content": "4"}
FIVE = {"role": "assistant", "content": "5"}
TOOL = {"role": "tool", "content": "2"}

INST = (
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}[INST] {{ m.content | trim }} [/INST]"
    "{% elif m.role == 'assistant' %} {{ m.content }}{{ eos_token }}{% endif %}{% endfor %}"
)
"""As Mistral's: no header before an answer, contents trimmed, a token before everything."""


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return byte_tokenizer()


def learnt(tokenizer: PreTrainedTokenizerFast, encoded: dict[str, list[int]]) -> list[str]:
    """The runs of tokens that have a label; every label is its token."""
    runs: list[list[int]] = [[]]
    for token, label in zip(encoded["input_ids"], encoded["labels"], strict=True):
        assert label in (token, IGNORED)
        if label == IGNORED:
            runs.append([])
        else:
            runs[-1].append(token)
    return [tokenizer.decode(run) for run in runs if run]


def text(tokenizer: PreTrainedTokenizerFast, encoded: dict[str, list[int]]) -> str:
    return str(tokenizer.decode(encoded["input_ids"]))


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        ([USER, FOUR], ["4<|im_end|>\n"]),
        ([SYSTEM, USER, FOUR, USER, FIVE], ["4<|im_end|>\n", "5<|im_end|>\n"]),
        ([USER, FOUR, TOOL, FIVE, USER], ["4<|im_end|>\n", "5<|im_end|>\n"]),
        ([FOUR, USER, FIVE], ["5<|im_end|>\n"]),
        ([SYSTEM, FOUR], ["4<|im_end|>\n"]),
        ([USER, {"role": "assistant", "content": "четыре 🎈"}], ["четыре 🎈<|im_end|>\n"]),
    ],
)
def test_the_assistants_turns_and_their_ends_are_learnt(
    tokenizer: PreTrainedTokenizerFast, messages: list[dict[str, str]], expected: list[str]
) -> None:
    encoded = encode_messages(tokenizer, messages, 500)
    assert learnt(tokenizer, encoded) == expected
    assert encoded["input_ids"] == tokenizer.apply_chat_template(messages, return_dict=False)


def test_a_template_without_headers_and_with_a_bos_token() -> None:
    tokenizer = byte_tokenizer(chat_template=INST)
    messages = [{"role": "user", "content": " 2+2= "}, FOUR, USER, FIVE]
    encoded = encode_messages(tokenizer, messages, 500)
    assert text(tokenizer, encoded) == "<|im_start|>[INST] 2+2= [/INST] 4<|im_end|>[INST] 2+2= [/INST] 5<|im_end|>"
    assert learnt(tokenizer, encoded) == [" 4<|im_end|>", " 5<|im_end|>"]


def test_long_rows_are_cut_at_the_end(tokenizer: PreTrainedTokenizerFast) -> None:
    whole = encode_messages(tokenizer, [USER, FOUR], 500)
    cut = encode_messages(tokenizer, [USER, FOUR], len(whole["input_ids"]) - 2)
    assert cut == {name: values[:-2] for name, values in whole.items()}
    assert learnt(tokenizer, cut) == ["4"]


@pytest.mark.parametrize(
    ("prompt", "completion", "whole", "expected"),
    [
        ("2+2=", "4", "2+2=4<|im_end|>", ["4<|im_end|>"]),
        ("2+2=", "4<|im_end|>", "2+2=4<|im_end|>", ["4<|im_end|>"]),
        (
            [USER],
            [FOUR],
            "<|im_start|>user\n2+2=<|im_end|>\n<|im_start|>assistant\n4<|im_end|>\n",
            ["4<|im_end|>\n"],
        ),
        (
            [FIVE, USER],
            [FOUR, USER, FIVE],
            "<|im_start|>assistant\n5<|im_end|>\n<|im_start|>user\n2+2=<|im_end|>\n<|im_start|>assistant\n4<|im_end|>\n"
            "<|im_start|>user\n2+2=<|im_end|>\n<|im_start|>assistant\n5<|im_end|>\n",
            ["4<|im_end|>\n", "5<|im_end|>\n"],
        ),
    ],
)
def test_of_a_completion_the_assistants_part_is_learnt(
    tokenizer: PreTrainedTokenizerFast, prompt: Any, completion: Any, whole: str, expected: list[str]
) -> None:
    encoded = encode_prompt_completion(tokenizer, prompt, completion, 500)
    assert text(tokenizer, encoded) == whole
    assert learnt(tokenizer, encoded) == expected


@pytest.mark.parametrize("as_messages", [False, True])
def test_both_answers_of_a_pair_follow_the_same_prompt(tokenizer: PreTrainedTokenizerFast, as_messages: bool) -> None:
    pair = {"prompt": [USER], "chosen": [FOUR], "rejected": [FIVE]}
    ending = "<|im_end|>\n"
    if not as_messages:
        pair, ending = {name: messages[0]["content"] for name, messages in pair.items()}, "<|im_end|>"
    encoded = {name: tokenizer.decode(tokens) for name, tokens in encode_pair(tokenizer, pair).items()}
    prompt = "<|im_start|>user\n2+2=<|im_end|>\n<|im_start|>assistant\n" if as_messages else "2+2="
    assert encoded == {"prompt_ids": prompt, "chosen_ids": f"4{ending}", "rejected_ids": f"5{ending}"}


def test_a_token_across_the_border_goes_to_the_answers_where_they_differ_in_it() -> None:
    tokenizer = byte_tokenizer()
    # With a merge of "=" and "4" only one of the answers swallows the end of the prompt.
    tokenizer.add_tokens("=4")
    encoded = encode_pair(tokenizer, {"prompt": "2+2=", "chosen": "4", "rejected": "5"})
    assert {name: tokenizer.decode(tokens) for name, tokens in encoded.items()} == {
        "prompt_ids": "2+2",
        "chosen_ids": "=4<|im_end|>",
        "rejected_ids": "=5<|im_end|>",
    }
    both = encode_pair(tokenizer, {"prompt": "2+2=", "chosen": "42", "rejected": "45"})
    assert tokenizer.decode(both["prompt_ids"]) == "2+2=4"


NO_PREFIX = "{% for m in messages %}{{ loop.revindex }}{{ m.content }}{% endfor %}"

BROKEN_TEMPLATES = {
    None: "rows hold messages, but the base's tokenizer has no chat template",
    "{% for %}": "the chat template fails: TemplateSyntaxError: Expected an expression, got 'end of statement block'",
    "{{ raise_exception('no system, please') }}": "the chat template fails: TemplateError: no system, please",
    "{{ date.today }}": "the chat template fails: UndefinedError: 'date' is undefined",
    "{{ messages[0].content + 1 }}": 'the chat template fails: TypeError: can only concatenate str (not "int") to str',
    "{{ 1 / 0 }}": "the chat template fails: ZeroDivisionError: division by zero",
    NO_PREFIX: (
        "the chat template renders the beginning of a conversation differently once it goes on "
        "(…'12+2=' is no prefix of …'22+2=')"
    ),
}


@pytest.mark.parametrize("template", BROKEN_TEMPLATES)
def test_a_template_that_does_not_serve_is_told(template: str | None) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        encode_messages(byte_tokenizer(chat_template=template), [USER, FOUR], 500)
    assert caught.value.message == BROKEN_TEMPLATES[template]
    assert "base.chatTemplate" in caught.value.remedy
