"""A streamed write to S3: one PUT for what fits into a part, else a multipart upload, part after part."""

from collections.abc import Callable
from typing import Any

MAXIMUM_PARTS = 10_000
PARTS_BEFORE_GROWTH = 1_000
"""After this many parts the part size doubles, so that 10,000 of them hold 5 TB from 8 MiB on."""


class MultipartWriter:
    """Buffers one part at a time. `call` runs an operation on the client with retries."""

    def __init__(
        self, call: Callable[[Callable[[Any], Any]], Any], address: dict[str, str], *, first_part_bytes: int
    ) -> None:
        self._call = call
        self._address = address
        self._part_bytes = first_part_bytes
        self._buffer = bytearray()
        self._upload_id: str | None = None
        self._parts: list[dict[str, Any]] = []

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Append bytes; uploads each part as it fills."""
        view = memoryview(data).cast("B")
        while len(view):
            taken = view[: self._part_bytes - len(self._buffer)]
            self._buffer += taken
            view = view[len(taken) :]
            if len(self._buffer) == self._part_bytes:
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
        self._call(
            lambda client: client.complete_multipart_upload(
                **self._address, UploadId=self._upload_id, MultipartUpload=upload
            )
        )

    def abort(self) -> None:
        """Drop what was uploaded."""
        if self._upload_id is not None:
            self._call(lambda client: client.abort_multipart_upload(**self._address, UploadId=self._upload_id))

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
        if number % PARTS_BEFORE_GROWTH == 0:
            self._part_bytes *= 2
