"""A streamed write to S3: one PUT for what fits into a part, else a multipart upload of several parts at once."""

import hashlib
import threading
from collections.abc import Sequence
from concurrent.futures import Future, wait
from typing import Any

from paft_trainer.storage.errors import ObjectMissing, UploadMissing
from paft_trainer.storage.part_buffers import PartBuffers
from paft_trainer.storage.s3_calls import S3Calls
from paft_trainer.storage.sent_body import SentBody, digest_header

MAXIMUM_PARTS = 10_000
PARTS_BEFORE_GROWTH = 1_000
"""After this many parts the part size doubles, so that 10,000 of them hold 5 TB from 8 MiB on."""


def part_bytes(number: int, *, first: int) -> int:
    """Size of part `number` (from 1) in bytes, where the first parts have `first`."""
    return first << (number - 1) // PARTS_BEFORE_GROWTH


def multipart_etag(etags: Sequence[str]) -> str | None:
    """The quoted ETag of an object made of parts with these quoted ETags; None where those are no MD5 digests."""
    try:
        digests = b"".join(bytes.fromhex(etag.strip('"')) for etag in etags)
    except ValueError:
        return None
    return f'"{hashlib.md5(digests, usedforsecurity=False).hexdigest()}-{len(etags)}"'


class MultipartWriter:
    """Fills one part while those before it are sent. For one thread."""

    def __init__(
        self, calls: S3Calls, buffers: PartBuffers, uri: str, address: dict[str, str], *, first_part_bytes: int
    ) -> None:
        self._calls = calls
        self._buffers = buffers
        self._uri = uri
        self._address = address
        self._first_part_bytes = first_part_bytes
        self._buffer: bytearray | None = None
        self._filled = 0
        self._upload_id: str | None = None
        self._parts: list[Future[dict[str, Any]]] = []
        self._is_given_up = threading.Event()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Append bytes; raises what went wrong with earlier parts."""
        view = memoryview(data).cast("B")
        while len(view):
            if self._buffer is None:
                self._buffer = self._buffers.take(self._next_part_bytes())
            taken = view[: len(self._buffer) - self._filled]
            self._buffer[self._filled : self._filled + len(taken)] = taken
            self._filled += len(taken)
            view = view[len(taken) :]
            if self._filled == len(self._buffer):
                self._send_part()

    def complete(self) -> None:
        """Make the object visible."""
        if self._upload_id is None:
            self._put()
            return
        if self._filled:
            self._send_part()
        parts = [part.result() for part in self._parts]
        try:
            self._calls.run(
                self._uri,
                lambda client: client.complete_multipart_upload(
                    **self._address, UploadId=self._upload_id, MultipartUpload={"Parts": parts}
                ),
            )
        except UploadMissing:
            # An earlier try may have been applied and its answer lost: some stores then forget the upload at once.
            if not self._was_completed(parts):
                raise

    def abort(self) -> None:
        """Drop what was uploaded; tried once, because it only tidies up and its caller has an error to tell."""
        self._is_given_up.set()
        self._drop_buffer()
        # A part that arrives after the end of its upload would stay for ever.
        wait(self._parts)
        if self._upload_id is not None:
            self._calls.once(
                self._uri, lambda client: client.abort_multipart_upload(**self._address, UploadId=self._upload_id)
            )

    def _put(self) -> None:
        view = memoryview(self._buffer or b"")[: self._filled]
        digest = digest_header(view, self._calls.connection.checksums)
        self._calls.run(self._uri, lambda client: client.put_object(**self._address, Body=SentBody(view), **digest))
        self._drop_buffer()

    def _was_completed(self, parts: Sequence[dict[str, Any]]) -> bool:
        try:
            answer = self._calls.run(self._uri, lambda client: client.head_object(**self._address))
        except ObjectMissing:
            return False
        return answer["ETag"] == multipart_etag([part["ETag"] for part in parts])

    def _next_part_bytes(self) -> int:
        return part_bytes(len(self._parts) + 1, first=self._first_part_bytes)

    def _send_part(self) -> None:
        self._raise_of_parts()
        if self._upload_id is None:
            self._upload_id = self._create_upload()
        number, size = len(self._parts) + 1, self._filled
        assert number <= MAXIMUM_PARTS
        assert self._buffer is not None
        buffer, self._buffer, self._filled = self._buffer, None, 0
        self._parts.append(self._buffers.submit(lambda: self._upload(number, buffer, size), size))

    def _raise_of_parts(self) -> None:
        for part in self._parts:
            if part.done():
                part.result()

    def _create_upload(self) -> str:
        algorithm = {"ChecksumAlgorithm": "CRC32"} if self._calls.connection.checksums == "when_supported" else {}
        answer = self._calls.run(self._uri, lambda client: client.create_multipart_upload(**self._address, **algorithm))
        upload_id: str = answer["UploadId"]
        return upload_id

    def _upload(self, number: int, buffer: bytearray, size: int) -> dict[str, Any]:
        """One part, from a thread of the buffers; answers what completing the upload must tell of it."""
        with memoryview(buffer) as whole, whole[:size] as view:
            digest = digest_header(view, self._calls.connection.checksums)
            answer = self._calls.run(
                self._uri,
                lambda client: client.upload_part(
                    **self._address, UploadId=self._upload_id, PartNumber=number, Body=SentBody(view), **digest
                ),
                given_up=self._is_given_up,
            )
        self._buffers.give_back(buffer)
        told = {name: value for name, value in digest.items() if name.startswith("Checksum")}
        return {"PartNumber": number, "ETag": answer["ETag"], **told}

    def _drop_buffer(self) -> None:
        if self._buffer is not None:
            self._buffers.give_back(self._buffer)
            self._buffer, self._filled = None, 0
