"""Whole sources as tokens."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.tiny_models import byte_tokenizer
from transformers import PreTrainedTokenizerFast

from paft_api.spec.data import DataFormat, DataSource
from paft_api.spec.training import SftTrainingSpec
from paft_trainer.data.encoded_rows import usable_rows
from paft_trainer.data.encoding import require_full_batch
from paft_trainer.data.schedule import total_steps
from paft_trainer.errors import ConfigInvalid, DataInvalid
from paft_trainer.storage.file_store import FileStore

USER_FIRST = "{% if messages[0].role != 'user' %}{{ raise_exception('begin with the user') }}{% endif %}"


def write(path: Path, format_: str, rows: list[dict[str, Any]]) -> DataSource:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return DataSource(uri=f"file://{path}", format=DataFormat(format_))


def chat(*contents: str, first: str = "user") -> dict[str, Any]:
    roles = (first, "assistant") * len(contents)
    return {"messages": [{"role": role, "content": text} for role, text in zip(roles, contents, strict=False)]}


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return byte_tokenizer()


def test_rows_of_all_sources_in_order_without_those_that_teach_nothing(
    tmp_path: Path, tokenizer: PreTrainedTokenizerFast
) -> None:
    texts = write(
        tmp_path / "texts.jsonl",
        "prompt-completion",
        [{"prompt": "a", "completion": "b"}, {"prompt": "c" * 64, "completion": "d"}],
    )
    chats = write(tmp_path / "chats.jsonl", "messages", [chat("e" * 64, "f"), chat("g", "h")])
    encoded = usable_rows(FileStore(), [texts, chats], tokenizer, 64)
    assert [tokenizer.decode(row["input_ids"]) for row in encoded] == [
        "ab<|im_end|>",
        "<|im_start|>user\ng<|im_end|>\n<|im_start|>assistant\nh<|im_end|>\n",
    ]


def test_pairs_whose_prompt_fills_the_length_teach_nothing(tmp_path: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    pairs = [{"prompt": "p" * length, "chosen": "c", "rejected": "r"} for length in (7, 8, 9)]
    (left,) = usable_rows(FileStore(), [write(tmp_path / "pairs.jsonl", "preference", pairs)], tokenizer, 8)
    assert len(left["prompt_ids"]) == 7


def test_texts_and_messages_may_stand_side_by_side(tmp_path: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    as_messages = {
        "prompt": [{"role": "user", "content": "a", "name": "Ann"}],
        "chosen": [{"role": "assistant", "content": "b", "name": 1}],
        "rejected": [{"role": "assistant", "content": "c"}],
    }
    pairs = write(
        tmp_path / "pairs.jsonl", "preference", [{"prompt": "a", "chosen": "b", "rejected": "c"}, as_messages]
    )
    assert len(usable_rows(FileStore(), [pairs], tokenizer, 64)) == 2


def test_the_row_on_which_a_template_fails_is_named(tmp_path: Path) -> None:
    tokenizer = byte_tokenizer(chat_template=USER_FIRST)
    source = write(tmp_path / "chats.jsonl", "messages", [chat("a", "b"), chat("s", "b", first="system")])
    with pytest.raises(ConfigInvalid) as caught:
        usable_rows(FileStore(), [source], tokenizer, 64)
    assert caught.value.message == (f"{source.uri}:2: the chat template fails: TemplateError: begin with the user")


def test_too_few_rows_for_one_step_are_refused() -> None:
    training = SftTrainingSpec(global_batch_size=8, max_length=64)
    sources = [DataSource(uri=f"s3://data/{name}.jsonl", format=DataFormat.MESSAGES) for name in "ab"]
    require_full_batch(training, sources, usable=8)
    with pytest.raises(DataInvalid) as caught:
        require_full_batch(training, sources, usable=7)
    assert caught.value.message == (
        "s3://data/a.jsonl, s3://data/b.jsonl: only 7 rows have a token to learn within training.maxLength 64, "
        "fewer than training.globalBatchSize 8"
    )


@pytest.mark.parametrize(
    ("epochs", "max_steps", "rows", "steps"),
    [(1, None, 23, 5), (2, None, 23, 10), (0.5, None, 23, 2), (0.01, None, 23, 1), (1, 3, 23, 3), (1, 99, 23, 99)],
)
def test_steps_are_whole_batches(epochs: float, max_steps: int | None, rows: int, steps: int) -> None:
    training = SftTrainingSpec(epochs=epochs, max_steps=max_steps, global_batch_size=4)
    assert total_steps(training, rows) == steps
