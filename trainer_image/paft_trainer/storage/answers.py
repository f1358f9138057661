"""Bodies of GET answers, read whole or not at all."""

import base64
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import urllib3.exceptions

from paft_trainer.storage.patience import Pace, Patience
from paft_trainer.storage.retries import TemporaryFault

RECEIVE_BYTES = 256 * 1024
"""Asked of the socket at once."""


@dataclass(frozen=True, slots=True)
class Content:
    """`body`: the bytes that came. `etag`: of the object, without quotes. `size`: of the whole answer, in bytes."""

    body: bytes
    etag: str
    size: int


def read_answer(answer: Mapping[str, Any], patience: Patience, *, at_most: int | None = None) -> Content:
    """The body, or its first `at_most` bytes. Raises TemporaryFault where it breaks off, stalls or is damaged."""
    size = int(answer["ContentLength"])
    wanted = size if at_most is None else min(size, at_most)
    # Leaving the block before the end closes the connection, so that another try takes a new one.
    with answer["Body"] as stream:
        answer["Body"].set_socket_timeout(patience.silence_seconds)
        body = _receive(stream, wanted, patience)
        if wanted == size:
            _require_checksum(answer, body)
            # Only an answer that was read to its end gives its connection back.
            stream.drain_conn()
    return Content(body=body, etag=answer["ETag"].strip('"'), size=size)


def _receive(stream: Any, wanted: int, patience: Patience) -> bytes:
    pace, chunks, missing = Pace(patience), [], wanted
    try:
        while missing:
            chunk = stream.read1(min(RECEIVE_BYTES, missing))
            if not chunk:
                raise TemporaryFault(f"the answer ended after {wanted - missing} of {wanted} bytes")
            chunks.append(chunk)
            missing -= len(chunk)
            pace.heard(len(chunk))
    except urllib3.exceptions.ReadTimeoutError as error:
        raise TemporaryFault(f"stalled after {wanted - missing} of {wanted} bytes") from error
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise TemporaryFault(f"the answer broke off after {wanted - missing} of {wanted} bytes: {error}") from error
    return b"".join(chunks)


def _require_checksum(answer: Mapping[str, Any], body: bytes) -> None:
    """Those of objects made of parts ("-" in them) are of the parts' checksums, not of the bytes."""
    expected = answer.get("ChecksumCRC32")
    if expected is not None and "-" not in expected and expected != crc32_of(body):
        raise TemporaryFault("the answer does not have the checksum that its header tells")


def crc32_of(body: bytes | memoryview) -> str:
    """As S3's headers tell it: big endian, Base64."""
    return base64.b64encode(zlib.crc32(body).to_bytes(4, "big")).decode()
