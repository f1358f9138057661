"""A streamed write to S3: one PUT for what fits into a part, else a multipart upload, part after part."""

import hashlib
from collections.abc import Callable, Sequence
from typing import Any

from paft_trainer.storage.errors import ObjectMissing, UploadMissing

MAXIMUM_PARTS = 10_000
PARTS_BEFORE_GROWTH = 1_000
"""After this many parts the part size doubles, so that 10,000 of them hold 5 TB from 8 MiB on."""

Call = Callable[[Callable[[Any], Any]], Any]


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
    """Buffers one part at a time. `call` runs an operation on the client with retries, `call_once` without."""

    def __init__(self, call: Call, call_once: Call, address: dict[str, str], *, first_part_bytes: int) -> None:
        self._call = call
        self._call_once = call_once
        self._address = address
        self._first_part_bytes = first_part_bytes
        self._buffer = bytearray()
        self._upload_id: str | None = None
        self._parts: list[dict[str, Any]] = []

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Append bytes; uploads each part as it fills."""
        view = memoryview(data).cast("B")
        while len(view):
            wanted = part_bytes(len(self._parts) + 1, first=self._first_part_bytes)
            taken = view[: wanted - len(self._buffer)]
            self._buffer += taken
            view = view[len(taken) :]
            if len(self._buffer) == wanted:
                self._upload_part()

    def complete(self) -> None:
        """Make the object visible."""
        if self._upload_id is None:
            body = bytes(self._buffer)
            self._call(lambda client: client.put_object(**self._address, Body=body))
            return
        if self._buffer:
            self._upload_part()
        upload = {"Parts": self._parts}
        try:
            self._call(
                lambda client: client.complete_multipart_upload(
                    **self._address, UploadId=self._upload_id, MultipartUpload=upload
                )
            )
        except UploadMissing:
            # An earlier try may have been applied and its answer lost: some stores then forget the upload at once.
            if not self._was_completed():
                raise

    def abort(self) -> None:
        """Drop what was uploaded; tried once, because it only tidies up and its caller has an error to tell."""
        if self._upload_id is not None:
            self._call_once(lambda client: client.abort_multipart_upload(**self._address, UploadId=self._upload_id))

    def _was_completed(self) -> bool:
        try:
            answer = self._call(lambda client: client.head_object(**self._address))
        except ObjectMissing:
            return False
        return answer["ETag"] == multipart_etag([part["ETag"] for part in self._parts])

    def _upload_part(self) -> None:
        if self._upload_id is None:
            answer = self._call(lambda client: client.create_multipart_upload(**self._address))
            self._upload_id = answer["UploadId"]
        number = len(self._parts) + 1
        assert number <= MAXIMUM_PARTS
        body = bytes(self._buffer)
        answer = self._call(
            lambda client: client.upload_part(**self._address, UploadId=self._upload_id, PartNumber=number, Body=body)
        )
        self._parts.append({"PartNumber": number, "ETag": answer["ETag"]})
        self._buffer.clear()
