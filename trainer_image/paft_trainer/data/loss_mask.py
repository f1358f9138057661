"""Which tokens of SFT rows are learnt, where a job asks for others than by default."""

import re
from dataclasses import dataclass
from typing import Any

from jinja2 import TemplateError
from transformers import PreTrainedTokenizerBase
from transformers.utils.chat_template_utils import render_jinja_template

from paft_api.spec.arm import ArmSpec
from paft_api.spec.training import SftTrainingSpec
from paft_trainer.data.chat import (
    RAISED_BY_EXPRESSIONS,
    Encoded,
    Messages,
    Tools,
    continuation,
    encode_messages,
    encode_prompt_completion,
    encode_row,
    encode_spans,
    render,
    text_spans,
)
from paft_trainer.errors import ConfigInvalid

_MARK = re.compile(r"\{%-?\s*generation\s*-?%\}")

Spans = list[tuple[str, bool]]
"""Parts of a text in order, each with whether it is learnt."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LossMask:
    """`assistant_only`: of messages the assistant's turns alone. `by_marks`: as the template's `{% generation %}` marks
    tell them. `completion_only`: of prompts and completions the latter alone."""

    assistant_only: bool = True
    by_marks: bool = False
    completion_only: bool = True


BY_DEFAULT = LossMask()


def loss_mask_of(arm: ArmSpec) -> LossMask:
    """What an arm learns of its rows; the default for pairs."""
    training = arm.training
    if not isinstance(training, SftTrainingSpec):
        return BY_DEFAULT
    return LossMask(
        assistant_only=training.assistant_only_loss,
        by_marks=training.assistant_mask == "generation",
        completion_only=training.completion_only_loss,
    )


def encode_masked_row(
    tokenizer: PreTrainedTokenizerBase, row: dict[str, Any], max_length: int, mask: LossMask
) -> Encoded:
    """As `encode_row`, with what `mask` tells to learn. All of a text row is learnt. Raises ConfigInvalid."""
    if mask == BY_DEFAULT or "text" in row:
        return encode_row(tokenizer, row, max_length)
    if "messages" in row:
        return _encode_chat(tokenizer, row["messages"], row.get("tools"), max_length, mask, learn_from=0)
    prompt, completion = row["prompt"], row["completion"]
    if not isinstance(prompt, str):
        learn_from = len(prompt) if mask.completion_only else 0
        return _encode_chat(
            tokenizer, [*prompt, *completion], row.get("tools"), max_length, mask, learn_from=learn_from
        )
    if mask.completion_only:
        return encode_prompt_completion(tokenizer, prompt, completion, max_length)
    return encode_spans(tokenizer, [(text, True) for text, _ in text_spans(tokenizer, prompt, completion)], max_length)


def _encode_chat(
    tokenizer: PreTrainedTokenizerBase,
    messages: Messages,
    tools: Tools | None,
    max_length: int,
    mask: LossMask,
    *,
    learn_from: int,
) -> Encoded:
    """`learn_from`: number of the first message that is more than context."""
    if mask.assistant_only and not mask.by_marks:
        return encode_messages(tokenizer, messages, max_length, learn_from=learn_from, tools=tools)
    # Also refuses what no template can render.
    whole = render(tokenizer, messages, tools, generate=False)
    if mask.assistant_only:
        return encode_spans(tokenizer, _marked(tokenizer, messages, tools, learn_from=learn_from), max_length)
    before = render(tokenizer, messages[:learn_from], tools, generate=True)
    return encode_spans(tokenizer, [(before, False), (continuation(before, whole), True)], max_length)


def _marked(tokenizer: PreTrainedTokenizerBase, messages: Messages, tools: Tools | None, *, learn_from: int) -> Spans:
    """The rendered chat, cut at the template's marks."""
    if _MARK.search(tokenizer.get_chat_template()) is None:
        raise ConfigInvalid(
            "sft.training.assistantMask is generation, but the chat template has no {% generation %} marks",
            remedy="Set base.chatTemplate to one that has, or assistantMask to rendering.",
        )
    try:
        (whole,), (places,) = render_jinja_template(
            conversations=[list(messages)],
            tools=tools,
            chat_template=tokenizer.get_chat_template(),
            return_assistant_tokens_mask=True,
            **tokenizer.special_tokens_map,
        )
    except (TemplateError, *RAISED_BY_EXPRESSIONS) as error:
        raise ConfigInvalid(
            f"the chat template fails: {type(error).__name__}: {error}",
            remedy="Correct base.chatTemplate, or the roles of the messages.",
        ) from error
    answers = sum(message["role"] == "assistant" for message in messages)
    if len(places) != answers:
        raise ConfigInvalid(
            f"the chat template marks {len(places)} places with {{% generation %}} in a chat with {answers} turns of "
            "the assistant",
            remedy="Set base.chatTemplate to one that marks each turn once, or assistantMask to rendering.",
        )
    context = sum(message["role"] == "assistant" for message in messages[:learn_from])
    spans: Spans = []
    end = 0
    for start, stop in places[context:]:
        spans += [(whole[end:start], False), (whole[start:stop], True)]
        end = stop
    return [*spans, (whole[end:], False)]
