"""Hashes of tensors on their way."""

import hashlib
import weakref

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from paft_trainer.merge.base_hashes import WAITING_CHUNKS, BaseHashes


@given(st.dictionaries(st.text(max_size=3), st.lists(st.binary(max_size=20), max_size=8), max_size=8))
def test_each_tensor_has_the_hash_of_its_chunks(tensors: dict[str, list[bytes]]) -> None:
    with BaseHashes({"known": "before"}) as hashes:
        for name, chunks in tensors.items():
            for chunk in chunks:
                hashes.update(chunk)
            hashes.end(name)
        hashes.wait()
        found = dict(hashes.sha256)
    wanted = {name: hashlib.sha256(b"".join(chunks)).hexdigest() for name, chunks in tensors.items()}
    assert found == {"known": "before"} | wanted


def test_without_waiting_all_are_there_at_the_end() -> None:
    with BaseHashes() as hashes:
        for index in range(50):
            hashes.update(bytes(100_000))
            hashes.end(str(index))
    assert len(hashes.sha256) == 50


def test_chunks_are_let_go_however_small_the_tensors_are() -> None:
    """Whoever reads is held up by hashing, so that chunks do not pile up."""
    chunks: list[weakref.ref[np.ndarray]] = []
    most = 0
    with BaseHashes() as hashes:
        for index in range(60):
            chunk = np.zeros(4_000_000, np.uint8)
            chunks.append(weakref.ref(chunk))
            hashes.update(memoryview(chunk))
            del chunk
            hashes.end(str(index))
            most = max(most, sum(one() is not None for one in chunks))
    assert most <= WAITING_CHUNKS + 1


def test_an_error_ends_it_at_once() -> None:
    with pytest.raises(ZeroDivisionError), BaseHashes() as hashes:
        for index in range(20):
            hashes.update(bytes(1_000_000))
            hashes.end(str(index))
        raise ZeroDivisionError
