"""From rows to tokens and labels, for any chat template.

Where an assistant's turn begins and ends in the rendered text is found by rendering prefixes of the conversation:
the text up to message i with the generation prompt, against the text up to and with message i. What lies between is
what the model has to produce, the end-of-turn tokens included. It works for every template whose rendering of a
prefix is a prefix of its rendering of the whole, without `{% generation %}` marks.
"""

from collections.abc import Sequence
from typing import Any

from jinja2 import TemplateError
from transformers import PreTrainedTokenizerBase

from paft_trainer.errors import ConfigInvalid

IGNORED = -100
"""Label of a token that is not learnt."""

RAISED_BY_EXPRESSIONS = (TypeError, ValueError, LookupError, ArithmeticError, AttributeError)
"""What Python raises inside a template that renders, such as for `1 + message.content`."""

Messages = Sequence[dict[str, Any]]
Tools = Sequence[dict[str, Any]]
Encoded = dict[str, list[int]]


def encode_row(tokenizer: PreTrainedTokenizerBase, row: dict[str, Any], max_length: int) -> Encoded:
    """`input_ids` and `labels` of a row with messages, prompt and completion, or text, cut at `max_length` tokens."""
    tools = row.get("tools")
    if "messages" in row:
        return encode_messages(tokenizer, row["messages"], max_length, tools=tools)
    if "text" in row:
        # All of it is completion, since nothing comes before it.
        return encode_prompt_completion(tokenizer, "", row["text"], max_length)
    return encode_prompt_completion(tokenizer, row["prompt"], row["completion"], max_length, tools=tools)


def encode_messages(
    tokenizer: PreTrainedTokenizerBase,
    messages: Messages,
    max_length: int | None,
    *,
    learn_from: int = 0,
    tools: Tools | None = None,
) -> Encoded:
    """A chat; labels cover the assistant's turns. Raises ConfigInvalid where the template does not allow it.

    `tools`: JSON schemas of what the assistant may call.

    Turns before message `learn_from` are context only. So is a chat's first message: nothing in the rendered text
    tells where the template's own opening ends and an answer to nothing begins.
    """
    spans: list[tuple[str, bool]] = []
    rendered = ""
    for index, message in enumerate(messages):
        if message["role"] != "assistant" or index < max(learn_from, 1):
            continue
        before = render(tokenizer, messages[:index], tools, generate=True)
        after = render(tokenizer, messages[: index + 1], tools, generate=False)
        spans += [(continuation(rendered, before), False), (continuation(before, after), True)]
        rendered = after
    spans.append((continuation(rendered, render(tokenizer, messages, tools, generate=False)), False))
    return encode_spans(tokenizer, spans, max_length)


def encode_prompt_completion(
    tokenizer: PreTrainedTokenizerBase,
    prompt: str | Messages,
    completion: str | Messages,
    max_length: int | None,
    *,
    tools: Tools | None = None,
) -> Encoded:
    """A prompt and its completion, both texts or both messages; labels cover what the assistant completes.

    A text completion gets the end-of-sequence token, so that the model learns to stop.
    """
    if isinstance(prompt, str) or isinstance(completion, str):
        return encode_spans(tokenizer, text_spans(tokenizer, str(prompt), str(completion)), max_length)
    return encode_messages(tokenizer, [*prompt, *completion], max_length, learn_from=len(prompt), tools=tools)


def text_spans(tokenizer: PreTrainedTokenizerBase, prompt: str, completion: str) -> list[tuple[str, bool]]:
    """Both texts as they are tokenized, with beginning and end of a sequence, and whether each is learnt."""
    ending = tokenizer.eos_token or ""
    text = completion if completion.endswith(ending) else f"{completion}{ending}"
    beginning = tokenizer.bos_token if _adds_bos(tokenizer) else ""
    return [(f"{beginning}{prompt}", False), (text, True)]


def encode_pair(tokenizer: PreTrainedTokenizerBase, pair: dict[str, Any]) -> Encoded:
    """`prompt_ids`, `chosen_ids` and `rejected_ids` of a preference row, none of them cut.

    A token that reaches from the prompt into the answers is the prompt's where both answers have it, else the answers'.
    """
    chosen, rejected = (
        encode_prompt_completion(tokenizer, pair["prompt"], pair[answer], None, tools=pair.get("tools"))
        for answer in ("chosen", "rejected")
    )
    length = min(_untrained_prefix(chosen), _untrained_prefix(rejected))
    while chosen["input_ids"][:length] != rejected["input_ids"][:length]:
        length -= 1
    return {
        "prompt_ids": chosen["input_ids"][:length],
        "chosen_ids": chosen["input_ids"][length:],
        "rejected_ids": rejected["input_ids"][length:],
    }


def _untrained_prefix(encoded: Encoded) -> int:
    labels = encoded["labels"]
    return next((index for index, label in enumerate(labels) if label != IGNORED), len(labels))


def render(tokenizer: PreTrainedTokenizerBase, messages: Messages, tools: Tools | None, *, generate: bool) -> str:
    """A chat as text. `generate`: with the beginning of an answer. Raises ConfigInvalid."""
    if not messages:
        return ""
    if tokenizer.chat_template is None:
        raise ConfigInvalid(
            "rows hold messages, but the base's tokenizer has no chat template",
            remedy="Set base.chatTemplate, or give the rows as text.",
        )
    try:
        rendered = tokenizer.apply_chat_template(
            list(messages), tools=tools, tokenize=False, add_generation_prompt=generate
        )
        return str(rendered)
    except (TemplateError, *RAISED_BY_EXPRESSIONS) as error:
        raise ConfigInvalid(
            f"the chat template fails: {type(error).__name__}: {error}",
            remedy="Correct base.chatTemplate, or the roles of the messages.",
        ) from error


def continuation(prefix: str, whole: str) -> str:
    """What comes after `prefix`. Raises ConfigInvalid where it is none."""
    if not whole.startswith(prefix):
        raise ConfigInvalid(
            "the chat template renders the beginning of a conversation differently once it goes on "
            f"(…{prefix[-40:]!r} is no prefix of …{whole[max(0, len(prefix) - 40) : len(prefix)]!r})",
            remedy="Set base.chatTemplate to a template that only appends to what it rendered before, or "
            "sft.training.assistantMask to generation where the template has {% generation %} marks.",
        )
    return whole[len(prefix) :]


def encode_spans(tokenizer: PreTrainedTokenizerBase, spans: list[tuple[str, bool]], max_length: int | None) -> Encoded:
    """Tokenize the whole text at once, as at inference, and label each token by the span in which it begins."""
    text = "".join(part for part, _ in spans)
    encoding = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    labelled = _labelled_characters(spans)
    labels = [
        token if begin < len(labelled) and labelled[begin] else IGNORED
        for token, (begin, _) in zip(encoding["input_ids"], encoding["offset_mapping"], strict=True)
    ]
    return {"input_ids": encoding["input_ids"][:max_length], "labels": labels[:max_length]}


def _labelled_characters(spans: list[tuple[str, bool]]) -> list[bool]:
    return [trained for part, trained in spans for _ in part]


def _adds_bos(tokenizer: PreTrainedTokenizerBase) -> bool:
    return tokenizer.bos_token_id is not None and tokenizer("x")["input_ids"][0] == tokenizer.bos_token_id
