"""Samples of rows."""

import json
from pathlib import Path

from tests.run_specs import write_sums
from tests.tiny_models import byte_tokenizer

from paft_api.spec.data import DataFormat, DataSource
from paft_trainer.data.encoded_rows import usable_rows
from paft_trainer.rehearsal.token_lengths import sample_lengths
from paft_trainer.storage.file_store import FileStore, uri_of


def test_all_rows_have_the_lengths_that_training_sees(tmp_path: Path) -> None:
    chats, pairs = write_sums(tmp_path, rows=20)
    tokenizer, store = byte_tokenizer(), FileStore()
    for file, form in ((chats, DataFormat.MESSAGES), (pairs, DataFormat.PREFERENCE)):
        source = DataSource(uri=uri_of(file), format=form)
        sampled = sample_lengths(store, [source, source], tokenizer, max_length=30, sample=100)
        assert (sampled.rows, sampled.stored_bytes) == (40, 2 * file.stat().st_size)
        trained = usable_rows(store, [source, source], tokenizer, 30)
        if form is DataFormat.MESSAGES:
            wanted = [(len(row["input_ids"]),) for row in trained]
        else:
            wanted = [
                tuple(min(30, len(row["prompt_ids"]) + len(row[answer])) for answer in ("chosen_ids", "rejected_ids"))
                for row in trained
            ]
        assert [lengths for lengths in sampled.lengths if lengths] == wanted


def test_a_sample_is_drawn_from_all_sources_and_is_the_same_every_time(tmp_path: Path) -> None:
    sources = []
    for count in (1, 2):
        file = tmp_path / f"{count}.jsonl"
        row = {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b" * 10 * count}]}
        file.write_text(f"{json.dumps(row)}\n" * 50, encoding="utf-8")
        sources.append(DataSource(uri=uri_of(file), format=DataFormat.MESSAGES))
    first, again = (sample_lengths(FileStore(), sources, byte_tokenizer(), max_length=512, sample=30) for _ in range(2))
    assert first == again
    assert (first.rows, len(first.lengths), len(set(first.lengths))) == (100, 30, 2)
    short = sum(length == min(first.lengths) for length in first.lengths)
    assert 8 <= short <= 22


def test_rows_are_those_of_an_epoch_without_wrong_ones(tmp_path: Path) -> None:
    chats, _ = write_sums(tmp_path, rows=20)
    with chats.open("a") as file:
        file.write("{\n")
    source = DataSource(uri=uri_of(chats), format=DataFormat.MESSAGES, weight=1.5)
    sampled = sample_lengths(FileStore(), [source], byte_tokenizer(), max_length=64, sample=5, max_bad_rows=1)
    assert (sampled.rows, len(sampled.lengths)) == (30, 5)
