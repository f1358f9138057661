"""Hashes of tensors that pass by in chunks."""

import hashlib
import random

from hypothesis import given
from hypothesis import strategies as st

from paft_trainer.base.tensor_hashes import hash_tensors
from paft_trainer.safetensors_files import TensorEntry

SIZES = st.lists(st.sampled_from([0, 0, 1, 7, 4095, 4096, 4097, 8192, 50_000]), min_size=1, max_size=8)


@given(sizes=SIZES, chunk=st.sampled_from([1000, 4096, 4097, 20_000, 10**6]), seed=st.integers(0, 9))
def test_wherever_chunks_end_the_hashes_are_those_of_the_tensors(sizes: list[int], chunk: int, seed: int) -> None:
    content = random.Random(seed).randbytes(sum(sizes))
    entries = []
    start = 100
    for number, size in enumerate(sizes):
        entries.append(TensorEntry(name=f"t{number}", dtype="U8", shape=(size,), start=start, size=size))
        start += size
    chunks = [content[at : at + chunk] for at in range(0, len(content), chunk)]
    hashed = hash_tensors("f", entries, chunks)
    assert [tensor.name for tensor in hashed] == [entry.name for entry in entries]
    for entry, tensor in zip(entries, hashed, strict=True):
        own = content[entry.start - 100 : entry.start - 100 + entry.size]
        pieces = [own[at : at + 4096] for at in range(0, len(own), 4096)]
        assert tensor.sha256 == hashlib.sha256(own).hexdigest()
        assert tensor.hashes == b"".join(hashlib.sha256(piece).digest() for piece in pieces)
        assert (tensor.piece_bytes, tensor.pieces, tensor.file) == (4096, len(pieces), "f")
