"""Lists of pieces, as they are kept, and as they must not be."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.paft_trainer.base.indexed_bases import SHARDED, put_files

from paft_trainer.base.piece_document import encode_pieces, parse_pieces
from paft_trainer.base.piece_index import PieceIndex
from paft_trainer.errors import ArtifactMismatch
from paft_trainer.storage.file_store import FileStore, uri_of


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> PieceIndex:
    return put_files(FileStore(), f"{uri_of(tmp_path_factory.mktemp('document'))}/", SHARDED)


def test_what_is_encoded_is_parsed(index: PieceIndex) -> None:
    assert parse_pieces("uri", encode_pieces(index)) == index


@pytest.mark.parametrize(
    ("before", "after", "reason"),
    [
        (b'"formatVersion":1', b'"formatVersion":2', "1 fields of its header are wrong"),
        (b'"formatVersion":1', b'"formatVersion": ', "1 fields of its header are wrong"),
        (b'"U8",[4097]', b'"U9",[4097]', "a tensor has the file 1 and the dtype 'U9'"),
        (b'"U8",[4097]', b'"U8",[4-97]', "1 fields of its header are wrong"),
        (b'["f",1,', b'["f",2,', "a tensor has the file 2 and the dtype 'U8'"),
        (b'["f",1,', b'["e",1,', "a file or a tensor is in it twice"),
        (b"[5000011]", b"[9000011]", "a tensor does not lie within its file"),
        (b"[4097]", b"[4096]", "it has {size} bytes instead of {one_less}"),
        (b"00002-of", b"0/002-of", "1 fields of its header are wrong"),
    ],
)
def test_a_wrong_header_is_refused(index: PieceIndex, before: bytes, after: bytes, reason: str) -> None:
    content = encode_pieces(index)
    assert before in content
    changed = content.replace(before, after, 1)
    with pytest.raises(ArtifactMismatch) as caught:
        parse_pieces("uri", changed)
    told = reason.format(size=len(content), one_less=len(content) - 32)
    assert caught.value.message == f"uri is no list of a base's pieces: {told}"
    assert "Delete it" in caught.value.remedy


@pytest.mark.parametrize("content", [b"", b"1234567", b"\xff" * 40, (2**63).to_bytes(8, "little") + b"{}"])
def test_what_is_no_document_is_refused(content: bytes) -> None:
    with pytest.raises(ArtifactMismatch, match="is no list of a base's pieces"):
        parse_pieces("uri", content)


@given(st.data())
def test_however_it_is_cut_or_changed_it_is_refused_or_means_something(index: PieceIndex, data: st.DataObject) -> None:
    content = bytearray(encode_pieces(index)[: data.draw(st.integers(0, 2**14))])
    for _ in range(data.draw(st.integers(0, 3))):
        if content:
            content[data.draw(st.integers(0, min(len(content), 900) - 1))] = data.draw(st.integers(0, 255))
    try:
        parsed = parse_pieces("uri", bytes(content))
    except ArtifactMismatch:
        return
    assert all(len(tensor.hashes) == 32 * tensor.pieces for tensor in parsed.tensors.values())
