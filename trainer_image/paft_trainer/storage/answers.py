"""Bodies of GET answers, read whole or not at all."""

import base64
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import urllib3.exceptions

from paft_trainer.storage.retries import TemporaryFault
from paft_trainer.storage.stalls import StallWatch


@dataclass(frozen=True, slots=True)
class Content:
    """`body`: the bytes that came. `etag`: of the object, without quotes. `size`: of the whole answer, in bytes."""

    body: bytes
    etag: str
    size: int


def read_answer(answer: Mapping[str, Any], watch: StallWatch, *, at_most: int | None = None) -> Content:
    """The body, or its first `at_most` bytes. Raises TemporaryFault where it breaks off, stalls or is damaged."""
    size = int(answer["ContentLength"])
    wanted = size if at_most is None else min(size, at_most)
    # Leaving the block before the end closes the connection, so that another try takes a new one.
    with answer["Body"] as stream:
        answer["Body"].set_socket_timeout(watch.patience.silence_seconds)
        body = _receive(stream, wanted, watch)
    if wanted == size:
        _require_checksum(answer, body)
    return Content(body=body, etag=answer["ETag"].strip('"'), size=size)


def _receive(stream: Any, wanted: int, watch: StallWatch) -> bytes:
    try:
        # At once: the loop over the socket is then C, and the bytes are written where they stay.
        with watch.transfer(stream.shutdown, wanted):
            body: bytes = stream.read(wanted, decode_content=False)
    except urllib3.exceptions.ReadTimeoutError as error:
        raise TemporaryFault(f"stalled: no byte for {watch.patience.silence_seconds:.0f} s") from error
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise TemporaryFault(f"the answer broke off: {error}") from error
    if len(body) != wanted:
        raise TemporaryFault(f"the answer ended after {len(body)} of {wanted} bytes")
    return body


def _require_checksum(answer: Mapping[str, Any], body: bytes) -> None:
    """Those of objects made of parts ("-" in them) are of the parts' checksums, not of the bytes."""
    expected = answer.get("ChecksumCRC32")
    if expected is not None and "-" not in expected and expected != crc32_of(body):
        raise TemporaryFault("the answer does not have the checksum that its header tells")


def crc32_of(body: bytes | memoryview) -> str:
    """As S3's headers tell it: big endian, Base64."""
    return base64.b64encode(zlib.crc32(body).to_bytes(4, "big")).decode()
