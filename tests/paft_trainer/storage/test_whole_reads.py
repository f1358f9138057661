"""Damage is noticed by the ETag, and ETags that are no MD5 are no damage."""

import hashlib
from collections.abc import Iterable

import pytest

from paft_trainer.storage import StorageUnavailable
from paft_trainer.storage.answers import Content
from paft_trainer.storage.whole_reads import TRIES, WholeReads

MD5 = hashlib.md5(b"right", usedforsecurity=False).hexdigest()


def content(body: bytes, *, etag: str = MD5, size: int | None = None) -> Content:
    return Content(body=body, etag=etag, size=len(body) if size is None else size)


class Answers:
    """Gives one after another; `asked`: how many."""

    def __init__(self, answers: Iterable[Content]) -> None:
        self._answers = iter(answers)
        self.asked = 0

    def __call__(self) -> Content:
        """The next one."""
        self.asked += 1
        return next(self._answers)


def test_what_came_damaged_is_read_again() -> None:
    answers = Answers([content(b"wrong"), content(b"worse"), content(b"right")])
    assert WholeReads().read("s3://b/x", answers).body == b"right"
    assert answers.asked == 3


def test_etags_that_are_something_else_are_found_out_once() -> None:
    reads = WholeReads()
    assert reads.read("s3://b/x", Answers([content(b"other"), content(b"other")])).body == b"other"
    answers = Answers([content(b"another")])
    assert reads.read("s3://b/y", answers).body == b"another"
    assert answers.asked == 1


@pytest.mark.parametrize("answer", [content(b"x", etag=f"{MD5}-2"), content(b"beginning", size=100)])
def test_parts_and_beginnings_prove_nothing(answer: Content) -> None:
    answers = Answers([answer])
    assert WholeReads().read("s3://b/x", answers) == answer
    assert answers.asked == 1


def test_who_damages_everything_is_told() -> None:
    answers = Answers(content(bytes([number])) for number in range(TRIES))
    with pytest.raises(StorageUnavailable, match=f"s3://b/x came with other bytes each of {TRIES} times"):
        WholeReads().read("s3://b/x", answers)
