"""What a PUT sends: bytes without a copy, and a digest by which the store knows that they arrived whole."""

import base64
import hashlib
import io

from paft_trainer.storage.answers import crc32_of
from paft_trainer.storage.s3_connection import Checksums

SEND_BYTES = 256 * 1024
"""Given to the socket at once, each within the timeout for connecting: a rate that is slower is a stall."""


class SentBody(io.RawIOBase):
    """A view of a buffer as the file that botocore wants. A retry takes a new one."""

    def __init__(self, view: memoryview) -> None:
        self._view = view
        self._position = 0

    def __len__(self) -> int:
        return len(self._view)

    def readable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Yes."""
        return True

    def tell(self) -> int:
        """Offset in bytes."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """See io.IOBase."""
        self._position = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: len(self._view)}[whence] + offset
        return self._position

    def read(self, size: int = -1) -> memoryview:  # type: ignore[override]
        """The next piece: at least SEND_BYTES, because urllib3 asks for 16 KiB at a time and sends what it gets."""
        end = len(self._view) if size < 0 else self._position + max(size, SEND_BYTES)
        piece = self._view[self._position : end]
        self._position += len(piece)
        return piece


def digest_header(view: memoryview, checksums: Checksums) -> dict[str, str]:
    """The parameter of a PUT that tells its body's digest. Stores that know no CRC32 have known MD5 from the start."""
    if checksums == "when_supported":
        return {"ChecksumCRC32": crc32_of(view)}
    return {"ContentMD5": base64.b64encode(hashlib.md5(view, usedforsecurity=False).digest()).decode()}
