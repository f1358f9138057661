"""Safetensors headers come from strangers."""

import gzip
import json
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from paft_trainer.errors import ArtifactMismatch
from paft_trainer.safetensors_files import encode_header, read_chunks, read_header
from paft_trainer.storage.file_store import FileStore, uri_of


def test_what_the_library_writes_is_read(tmp_path: Path) -> None:
    tensors = {"b": torch.ones(2, 3), "a": torch.zeros(5, dtype=torch.bfloat16), "none": torch.zeros(0, 4)}
    save_file(tensors, tmp_path / "f", metadata={"format": "pt"})
    header = read_header(FileStore(), uri_of(tmp_path / "f"))
    assert {(entry.name, entry.dtype, entry.shape) for entry in header.entries} == {
        ("b", "F32", (2, 3)),
        ("a", "BF16", (5,)),
        ("none", "F32", (0, 4)),
    }
    assert header.metadata == {"format": "pt"}
    entry = next(entry for entry in header.entries if entry.name == "b")
    content = FileStore().read_range(uri_of(tmp_path / "f"), entry.start, entry.size)
    assert content == tensors["b"].numpy().tobytes()


def test_what_is_encoded_the_library_reads(tmp_path: Path) -> None:
    header = encode_header([("ü", "F32", (2,)), ("b", "BF16", (1, 3))], metadata={"format": "pt"})
    assert len(header) % 8 == 0
    (tmp_path / "f").write_bytes(header + torch.tensor([1.0, 2.0]).numpy().tobytes() + bytes(6))
    loaded = load_file(tmp_path / "f")
    assert loaded["ü"].tolist() == [1.0, 2.0]
    assert torch.equal(loaded["b"], torch.zeros(1, 3, dtype=torch.bfloat16))


def test_chunks_cover_the_range(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(bytes(range(100)))
    chunks = list(read_chunks(FileStore(), uri_of(tmp_path / "f"), 10, 75, chunk_bytes=30))
    assert [len(chunk) for chunk in chunks] == [30, 30, 15]
    assert b"".join(chunks) == bytes(range(10, 85))


def entry(dtype: Any = "U8", shape: Any = (4,), offsets: Any = (0, 4)) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


def encoded(document: Any, data: bytes = bytes(4)) -> bytes:
    header = document if isinstance(document, bytes) else json.dumps(document).encode()
    return len(header).to_bytes(8, "little") + header + data


HOSTILE = {
    "short": (b"1234", "it has only 4 bytes"),
    "giant header": (
        (2**62).to_bytes(8, "little") + b"{}",
        f"its header claims {2**62} bytes, more than the file has",
    ),
    "gzip": (gzip.compress(encoded({"w": entry()})), "it is compressed with gzip"),
    "zip": (b"PK\x03\x04" + bytes(100), "it is a zip archive, such as torch.save makes of pickled weights"),
    "pickle": (pickle.dumps([1.0] * 100), "it is a pickle, which runs code when it is read"),
    "Git LFS": (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
        "it is a pointer of Git LFS; fetch the file itself with git lfs pull",
    ),
    "no JSON": (encoded(b"{nope"), "its header is no JSON: Expecting property name enclosed in double quotes"),
    "no UTF-8": (encoded(b'{"\xff": 1}'), "its header is no JSON: 'utf-8' codec can't decode byte 0xff"),
    "too deep": (encoded(b"[" * 100_000), "its header is no JSON: maximum recursion depth exceeded"),
    "a list": (encoded([]), "its header is no JSON object"),
    "a name twice": (encoded(b'{"a": 1, "a": 2}'), "its header is no JSON: a name occurs twice"),
    "metadata": (encoded({"__metadata__": {"a": 1}, "w": entry()}), "its __metadata__ is no map of texts"),
    "no entry": (encoded({"w": 7}), "tensor w lacks dtype, shape or data_offsets"),
    "no offsets": (
        encoded({"w": {"dtype": "U8", "shape": [4]}}),
        "tensor w lacks dtype, shape or data_offsets",
    ),
    "three offsets": (encoded({"w": entry(offsets=[0, 1, 2])}), "tensor w lacks dtype, shape or data_offsets"),
    "unknown dtype": (encoded({"w": entry(dtype="F7")}), "tensor w has the unknown dtype 'F7'"),
    "dtype a list": (encoded({"w": entry(dtype=["U8"])}), "tensor w has the unknown dtype ['U8']"),
    "negative shape": (encoded({"w": entry(shape=[-2, -2])}), "tensor w has the shape [-2, -2]"),
    "shape a truth": (encoded({"w": entry(shape=[True, 4])}), "tensor w has the shape [True, 4]"),
    "shape a number": (encoded({"w": entry(shape=4)}), "tensor w has the shape 4"),
    "too large": (
        encoded({"w": entry(shape=[2**40, 2**40])}),
        f"tensor w of shape [{2**40}, {2**40}] and dtype U8 does not fit its offsets 0, 4",
    ),
    "too large beside a dimension of 0": (
        encoded({"w": entry(shape=[0, 2**59, 2**59], offsets=[0, 0])}, b""),
        f"tensor w of shape [0, {2**59}, {2**59}] and dtype U8 does not fit its offsets 0, 0",
    ),
    "many dimensions": (
        encoded({"w": entry(shape=[2**59] * 200_000)}),
        f"tensor w of shape [{', '.join([str(2**59)] * 6)}"[:132],
    ),
    "half a surrogate pair": (
        encoded(b'{"\\ud800": 1}'),
        "its header is no JSON: 'utf-8' codec can't encode character '\\ud800'",
    ),
    "UTF-16": (encoded("{}".encode("utf-16"), b""), "its header is no JSON: 'utf-8' codec can't decode byte 0xff"),
    "a name that writes on the terminal": (
        encoded({"\x1b[2J": entry(dtype="F7")}),
        "tensor '\\x1b[2J' has the unknown dtype 'F7'",
    ),
    "empty tensor inside another": (
        encoded({"w": entry(), "none": entry(shape=[0], offsets=[2, 2])}),
        "tensor none does not begin where the one before it ends",
    ),
    "empty tensor beyond the end": (
        encoded({"w": entry(), "none": entry(shape=[0], offsets=[5, 5])}),
        "tensor none does not begin where the one before it ends",
    ),
    "offsets turned": (
        encoded({"w": entry(offsets=[4, 0])}),
        "tensor w of shape [4] and dtype U8 does not fit its offsets 4, 0",
    ),
    "overlap": (
        encoded({"v": entry(), "w": entry(offsets=[2, 6])}, bytes(6)),
        "tensor w does not begin where the one before it ends",
    ),
    "hole": (encoded({"w": entry(offsets=[1, 5])}, bytes(5)), "tensor w does not begin where the one before it ends"),
    "beyond the end": (encoded({"w": entry()}, bytes(3)), "its tensors end at byte {end}, but the file at {size}"),
    "bytes left over": (encoded({"w": entry()}, bytes(5)), "its tensors end at byte {end}, but the file at {size}"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_headers_are_refused_with_the_reason(tmp_path: Path, name: str) -> None:
    content, reason = HOSTILE[name]
    (tmp_path / "f").write_bytes(content)
    header_end = 8 + int.from_bytes(content[:8], "little")
    reason = reason.replace("{end}", str(header_end + 4)).replace("{size}", str(len(content)))
    with pytest.raises(ArtifactMismatch) as caught:
        read_header(FileStore(), uri_of(tmp_path / "f"))
    assert caught.value.message.startswith(f"{uri_of(tmp_path / 'f')} is no proper safetensors file: {reason}")
    assert caught.value.remedy == "Write the file again."


def test_a_header_that_fills_a_file_without_blocks_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "f").open("wb") as file:
        file.write((2**40 - 8).to_bytes(8, "little"))
        file.truncate(2**40)
    with pytest.raises(ArtifactMismatch, match="its header claims 1099511627768 bytes, more than the 33554432 that"):
        read_header(FileStore(), uri_of(tmp_path / "f"))


def test_empty_tensors_may_lie_between_others_and_at_the_ends(tmp_path: Path) -> None:
    none = {"shape": [3, 0], "dtype": "F32"}
    places = {"first": 0, "between": 4, "last": 8}
    document = {name: {**none, "data_offsets": [place, place]} for name, place in places.items()}
    document |= {"v": entry(), "w": entry(offsets=[4, 8])}
    (tmp_path / "f").write_bytes(encoded(document, bytes(8)))
    header = read_header(FileStore(), uri_of(tmp_path / "f"))
    assert [one.name for one in header.entries] == ["first", "v", "between", "w", "last"]
    assert {name: tensor.shape for name, tensor in load_file(tmp_path / "f").items() if "t" in name} == {
        name: torch.Size([3, 0]) for name in places
    }


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactMismatch, match="is no proper safetensors file: it does not exist"):
        read_header(FileStore(), uri_of(tmp_path / "f"))
