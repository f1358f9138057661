"""What becomes of rows: which of their tokens are learnt, which are masked and which are cut, and how long they are."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import NamedTuple

from transformers import PreTrainedTokenizerBase

from paft_api.spec.data import DataSource
from paft_trainer.data.bad_rows import BadRows
from paft_trainer.data.chat import IGNORED, Encoded
from paft_trainer.data.encoding import encode_placed, encoder, is_usable
from paft_trainer.data.loss_mask import BY_DEFAULT, LossMask
from paft_trainer.data.rows import read_placed
from paft_trainer.storage import ObjectStore

UNCUT = 2**31 - 1
"""A maxLength that cuts nothing."""

LEARNT, MASKED, CUT = "learnt", "masked", "cut"


class Run(NamedTuple):
    """Tokens one after the other of one kind: learnt, masked (context only) or cut (beyond maxLength)."""

    kind: str
    ids: list[int]
    pieces: list[str]


@dataclass(frozen=True, kw_only=True, slots=True)
class PreviewedRow:
    """One row. `runs`: by sequence, which is `row` for SFT, and `chosen` and `rejected` for pairs. `usable`: whether
    anything can be learnt from it."""

    place: str
    runs: dict[str, list[Run]]
    usable: bool


@dataclass(kw_only=True, slots=True)
class Counts:
    """Of the rows that were counted. `lengths`: tokens of each sequence, none cut."""

    rows: int = 0
    without_learning: int = 0
    lengths: list[int] = field(default_factory=list)
    tokens: dict[str, int] = field(default_factory=lambda: dict.fromkeys((LEARNT, MASKED, CUT), 0))
    cut_sequences: int = 0
    lost_learning: int = 0
    """Tokens that would be learnt and are cut."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SourcePreview:
    """One source. `rows`: the first of them; `complete`: whether all were counted."""

    source: DataSource
    rows: list[PreviewedRow]
    counts: Counts
    complete: bool
    bad_rows: BadRows


def preview_source(
    store: ObjectStore,
    source: DataSource,
    tokenizer: PreTrainedTokenizerBase,
    *,
    max_length: int,
    shown: int,
    counted: int,
    max_bad_rows: int = 0,
    mask: LossMask = BY_DEFAULT,
) -> SourcePreview:
    """Look at the first `counted` rows, and keep the first `shown`. Raises StageError."""
    encode = encoder(tokenizer, source.format, UNCUT, mask)
    rows: list[PreviewedRow] = []
    counts, bad_rows = Counts(), BadRows(max_bad_rows)
    complete = True
    for placed in read_placed(store, source, bad_rows):
        if counts.rows == counted:
            complete = False
            break
        with bad_rows.left_out():
            encoded = encode_placed(encode, placed)
            sequences = _sequences(encoded)
            kinds = {name: _kinds(labels, max_length) for name, (_, labels) in sequences.items()}
            usable = is_usable(_as_trained(encoded, max_length), max_length)
            _count(counts, kinds, sequences, max_length, usable=usable)
            if len(rows) < shown:
                runs = {name: list(_runs(tokenizer, kinds[name], ids)) for name, (ids, _) in sequences.items()}
                rows.append(PreviewedRow(place=placed.place, runs=runs, usable=usable))
    return SourcePreview(source=source, rows=rows, counts=counts, complete=complete, bad_rows=bad_rows)


def _sequences(encoded: Encoded) -> dict[str, tuple[list[int], list[int]]]:
    """Ids and labels of each sequence."""
    if "input_ids" in encoded:
        return {"row": (encoded["input_ids"], encoded["labels"])}
    prompt = encoded["prompt_ids"]
    return {
        answer: ([*prompt, *encoded[f"{answer}_ids"]], [*[IGNORED] * len(prompt), *encoded[f"{answer}_ids"]])
        for answer in ("chosen", "rejected")
    }


def _kinds(labels: Sequence[int], max_length: int) -> list[str]:
    return [
        CUT if position >= max_length else MASKED if label == IGNORED else LEARNT
        for position, label in enumerate(labels)
    ]


def _as_trained(encoded: Encoded, max_length: int) -> Encoded:
    if "input_ids" in encoded:
        return {name: values[:max_length] for name, values in encoded.items()}
    return encoded


def _count(
    counts: Counts,
    kinds: dict[str, list[str]],
    sequences: dict[str, tuple[list[int], list[int]]],
    max_length: int,
    *,
    usable: bool,
) -> None:
    counts.rows += 1
    counts.without_learning += not usable
    for name, (_, labels) in sequences.items():
        counts.lengths.append(len(labels))
        counts.cut_sequences += len(labels) > max_length
        counts.lost_learning += sum(label != IGNORED for label in labels[max_length:])
        for kind in counts.tokens:
            counts.tokens[kind] += kinds[name].count(kind)


def _runs(tokenizer: PreTrainedTokenizerBase, kinds: Sequence[str], ids: Sequence[int]) -> Iterator[Run]:
    begin = 0
    for kind, same in groupby(kinds):
        end = begin + len(list(same))
        part = list(ids[begin:end])
        yield Run(kind, part, [str(tokenizer.decode([token])) for token in part])
        begin = end
