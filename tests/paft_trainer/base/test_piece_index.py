"""Sizes of pieces, and runs of them."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paft_trainer.base.piece_index import IndexedTensor, PieceRun, piece_bytes_of

KIB, MIB, GIB = 1024, 1024**2, 1024**3


def tensor_of(content: bytes, *, piece_bytes: int, start: int = 0, file: str = "f", name: str = "t") -> IndexedTensor:
    cut = [content[at : at + piece_bytes] for at in range(0, len(content), piece_bytes)]
    return IndexedTensor(
        name=name,
        file=file,
        dtype="U8",
        shape=(len(content),),
        start=start,
        size=len(content),
        piece_bytes=piece_bytes,
        sha256=hashlib.sha256(content).hexdigest(),
        hashes=b"".join(hashlib.sha256(piece).digest() for piece in cut),
    )


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (0, 4 * KIB),
        (1, 4 * KIB),
        (4 * MIB, 4 * KIB),
        (4 * MIB + 1, 8 * KIB),
        (8 * MIB, 8 * KIB),
        (GIB, MIB),
        (50 * GIB, MIB),
    ],
)
def test_pieces_are_up_to_1024_powers_of_two(size: int, expected: int) -> None:
    assert piece_bytes_of(size) == expected


@given(st.integers(min_value=1, max_value=2**40))
def test_no_more_than_1024_pieces_up_to_1_gib_and_no_smaller_ones_than_needed(size: int) -> None:
    step = piece_bytes_of(size)
    assert 4 * KIB <= step <= MIB
    assert -(-size // step) <= 1024 or (step == MIB and size > GIB)
    assert step == 4 * KIB or -(-size // (step // 2)) > 1024


@given(st.data())
def test_the_covering_run_is_the_shortest(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 100))
    tensor = tensor_of(bytes(size), piece_bytes=data.draw(st.sampled_from([1, 4, 8, 64])))
    start = data.draw(st.integers(0, size))
    stop = data.draw(st.integers(start, size))
    run = tensor.covering(start, stop)
    if start == stop:
        assert (run.count, run.size) == (0, 0)
        return
    assert run.start <= start < run.start + tensor.piece_bytes
    assert run.stop - tensor.piece_bytes < stop <= run.stop <= size
    assert run.size == run.stop - run.start


@given(size=st.integers(0, 200), step=st.sampled_from([1, 4, 16]), most=st.integers(1, 50))
def test_cut_runs_have_the_same_pieces(size: int, step: int, most: int) -> None:
    run = tensor_of(bytes(size), piece_bytes=step).all_pieces
    cut = [*run.cut(most)]
    assert [piece for one in cut for piece in range(one.first, one.first + one.count)] == [*range(run.count)]
    assert sum(one.size for one in cut) == size
    assert all(one.size <= max(most, step) and one.count > 0 for one in cut)


def test_a_wrong_piece_is_found_by_its_hash() -> None:
    content = bytes(range(10))
    tensor = tensor_of(content, piece_bytes=4)
    assert tensor.all_pieces.wrong_piece(memoryview(content)) is None
    assert PieceRun(tensor=tensor, first=1, count=2).wrong_piece(memoryview(content[4:])) is None
    for position, piece in ((0, 0), (3, 0), (4, 1), (9, 2)):
        spoilt = bytearray(content)
        spoilt[position] ^= 1
        assert tensor.all_pieces.wrong_piece(memoryview(spoilt)) == piece
