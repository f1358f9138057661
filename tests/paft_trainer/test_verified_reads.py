"""What is not what it should be is read once more, and no oftener."""

import hashlib
from pathlib import Path

import pytest

from paft_trainer.storage.file_store import FileStore, uri_of
from paft_trainer.verified_reads import read_verified

SHA256 = hashlib.sha256(b"right").hexdigest()


class SpoilingStore(FileStore):
    """Spoils the first reads."""

    def __init__(self, spoilt: int) -> None:
        super().__init__()
        self._spoilt = spoilt

    def read(self, uri: str) -> bytes:
        """Wrong bytes, as long as there are spoilt reads left."""
        self._spoilt -= 1
        return b"wrong" if self._spoilt >= 0 else super().read(uri)


@pytest.mark.parametrize(("spoilt", "expected"), [(0, b"right"), (1, b"right"), (2, None)])
def test_wrong_bytes_are_read_once_more(tmp_path: Path, spoilt: int, expected: bytes | None) -> None:
    (tmp_path / "x").write_bytes(b"right")
    assert read_verified(SpoilingStore(spoilt), uri_of(tmp_path / "x"), SHA256) == expected
