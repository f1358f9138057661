"""How long an arm's rows are in tokens: a sample of them, drawn while all are read and checked."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from transformers import PreTrainedTokenizerBase

from paft_api.spec.data import DataSource
from paft_trainer.data.bad_rows import BadRows
from paft_trainer.data.chat import Encoded
from paft_trainer.data.encoding import encode_rows, is_usable
from paft_trainer.data.files import source_files
from paft_trainer.data.mixing import Mixture
from paft_trainer.data.rows import Row, read_source
from paft_trainer.storage import ObjectStore


@dataclass(frozen=True, kw_only=True, slots=True)
class SampledLengths:
    """`lengths`: for each sampled row the tokens of each of its sequences, cut at the arm's maxLength, () where nothing
    can be learnt from it. `rows`: of an epoch. `stored_bytes`: of their files."""

    lengths: list[tuple[int, ...]]
    rows: int
    stored_bytes: int


def sample_lengths(
    store: ObjectStore,
    sources: Sequence[DataSource],
    tokenizer: PreTrainedTokenizerBase,
    *,
    max_length: int,
    sample: int,
    max_bad_rows: int = 0,
    seed: int = 0,
) -> SampledLengths:
    """A simple random sample of `sample` rows, or all where there are no more (reservoir sampling, Vitter 1985,
    algorithm R), whatever the weights of their sources. Raises DataInvalid, ConfigInvalid and StorageError as prepare
    does."""
    numbers = random.Random(seed)
    kept: list[tuple[DataSource, Row]] = []
    counts = [0] * len(sources)
    bad_rows = BadRows(max_bad_rows)
    for index, source in enumerate(sources):
        for row in read_source(store, source, bad_rows):
            counts[index] += 1
            if len(kept) < sample:
                kept.append((source, row))
            elif (place := numbers.randrange(sum(counts))) < sample:
                kept[place] = (source, row)
    lengths = [
        _lengths(encoded, max_length)
        for source, row in kept
        for encoded in encode_rows(tokenizer, source, [row], max_length=max_length)
    ]
    stored = sum(found.file.info.size for source in sources for found in source_files(store, source))
    mixture = Mixture.of(counts, [source.weight for source in sources])
    return SampledLengths(lengths=lengths, rows=mixture.epoch_rows, stored_bytes=stored)


def _lengths(encoded: Encoded, max_length: int) -> tuple[int, ...]:
    if not is_usable(encoded, max_length):
        return ()
    if "input_ids" in encoded:
        return (len(encoded["input_ids"]),)
    prompt = len(encoded["prompt_ids"])
    return tuple(min(max_length, prompt + len(encoded[answer])) for answer in ("chosen_ids", "rejected_ids"))
