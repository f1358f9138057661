"""`s3://` addresses through boto3, in parts that several connections carry at once.

boto3's own retries are off; `RetryPolicy` does them, so that one window holds for everything and waiting can be seen.
"""

import contextlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Self

from paft_api.spec.base import BaseSpec
from paft_api.spec.data import DataSource
from paft_trainer.storage.answers import Content, read_answer
from paft_trainer.storage.errors import (
    ObjectChanged,
    ObjectMissing,
    PreconditionFailed,
    StorageError,
    StorageUnavailable,
    UploadMissing,
)
from paft_trainer.storage.multipart_writer import MultipartWriter
from paft_trainer.storage.object_store import ObjectInfo, ObjectWriter, UnfinishedUpload
from paft_trainer.storage.part_buffers import PartBuffers
from paft_trainer.storage.retries import RetryPolicy, TemporaryFault
from paft_trainer.storage.s3_calls import S3Calls
from paft_trainer.storage.s3_connection import S3Connection
from paft_trainer.storage.sent_body import SentBody, digest_header
from paft_trainer.storage.stalls import Patience
from paft_trainer.storage.whole_reads import WholeReads

FIRST_PART_BYTES = 8 * 1024 * 1024
"""Size of the first parts of a streamed write; what fits into one part is one PUT."""

RANGE_BYTES = 8 * 1024 * 1024
"""Of one GET; more than that is read by several at once."""

RANGES_AT_ONCE = 8


class S3Store:
    """Objects of an S3-compatible server. `part_bytes`: size of the first parts of streamed writes."""

    def __init__(
        self,
        connection: S3Connection,
        *,
        retries: RetryPolicy,
        part_bytes: int = FIRST_PART_BYTES,
        patience: Patience | None = None,
    ) -> None:
        self._calls = S3Calls(connection, retries=retries, patience=patience or Patience())
        self._buffers = PartBuffers()
        self._ranges = ThreadPoolExecutor(RANGES_AT_ONCE, "paft-range")
        self._part_bytes = part_bytes
        self._whole_reads = WholeReads()

    def head(self, uri: str) -> ObjectInfo | None:
        """Size and ETag, or None."""
        try:
            answer = self._calls.run(uri, lambda client: client.head_object(**_address(uri)))
        except ObjectMissing:
            return None
        return ObjectInfo(uri=uri, size=answer["ContentLength"], etag=answer["ETag"].strip('"'))

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """All objects whose URI begins with `prefix`, in order."""
        # Not every store lists in order of the keys: SeaweedFS goes folder by folder, so that a/x comes before a-b.
        yield from sorted(self._listed(prefix), key=lambda info: info.uri)

    def read(self, uri: str) -> bytes:
        """The whole object."""
        first = self._whole_reads.read(uri, lambda: self._get(uri, at_most=RANGE_BYTES))
        rest = self.read_range(uri, len(first.body), first.size - len(first.body), etag=first.etag)
        return first.body + rest if rest else first.body

    def read_range(self, uri: str, start: int, size: int, *, etag: str | None = None) -> bytes:
        """Part of an object, by several requests at once where it is large."""
        if size <= RANGE_BYTES:
            return self._read_one_range(uri, start, size, etag)
        if etag is None:
            etag = self._etag_of(uri)
        end = start + size

        def read_one(offset: int) -> bytes:
            return self._read_one_range(uri, offset, min(RANGE_BYTES, end - offset), etag)

        return b"".join(self._ranges.map(read_one, range(start, end, RANGE_BYTES)))

    def put(self, uri: str, data: bytes, *, only_if_absent: bool = False) -> None:
        """Write an object at once."""
        options = digest_header(memoryview(data), self._calls.connection.checksums)
        if only_if_absent:
            options["IfNoneMatch"] = "*"
        try:
            self._calls.run(
                uri, lambda client: client.put_object(**_address(uri), Body=SentBody(memoryview(data)), **options)
            )
        except PreconditionFailed:
            # An earlier try may have been applied and its answer lost: then what is there is ours.
            if self.read(uri) != data:
                raise

    @contextmanager
    def open_writer(self, uri: str) -> Iterator[ObjectWriter]:
        """A streamed write."""
        writer = MultipartWriter(self._calls, self._buffers, uri, _address(uri), first_part_bytes=self._part_bytes)
        try:
            yield writer
            writer.complete()
        except BaseException:
            # The error that ended the write matters more than one from tidying up after it.
            with contextlib.suppress(StorageError, TemporaryFault):
                writer.abort()
            raise

    def delete(self, uri: str) -> None:
        """Remove an object."""
        self._calls.run(uri, lambda client: client.delete_object(**_address(uri)))

    def unfinished_uploads(self, prefix: str) -> Iterator[UnfinishedUpload]:
        """Multipart uploads that were neither completed nor aborted."""
        bucket, key = _split(prefix)
        markers: dict[str, str] = {}
        while True:
            page = self._uploads_page(prefix, bucket, key, markers)
            for entry in page.get("Uploads", ()):
                yield UnfinishedUpload(
                    uri=f"s3://{bucket}/{entry['Key']}", upload_id=entry["UploadId"], started_at=entry["Initiated"]
                )
            if not page.get("IsTruncated"):
                return
            markers = {"KeyMarker": page["NextKeyMarker"], "UploadIdMarker": page["NextUploadIdMarker"]}

    def abort_upload(self, upload: UnfinishedUpload) -> None:
        """Drop an upload's parts."""
        with contextlib.suppress(UploadMissing):
            self._calls.run(
                upload.uri,
                lambda client: client.abort_multipart_upload(**_address(upload.uri), UploadId=upload.upload_id),
            )

    def of_source(self, source: BaseSpec | DataSource) -> Self:
        """Itself: it has one server and one way to it."""
        return self

    def _get(self, uri: str, *, at_most: int | None = None, **options: str) -> Content:
        if self._calls.connection.checksums == "when_supported":
            options["ChecksumMode"] = "ENABLED"
        return self._calls.run(
            uri,
            lambda client: read_answer(
                client.get_object(**_address(uri), **options), self._calls.stalls, at_most=at_most
            ),
        )

    def _read_one_range(self, uri: str, start: int, size: int, etag: str | None) -> bytes:
        if size == 0:
            return b""
        condition = {} if etag is None else {"IfMatch": f'"{etag}"'}
        try:
            content = self._get(uri, Range=f"bytes={start}-{start + size - 1}", **condition)
        except PreconditionFailed as error:
            raise ObjectChanged.of(uri, before=str(etag), now=self._etag_now(uri)) from error
        # Not every store knows the condition.
        if etag is not None and content.etag != etag:
            raise ObjectChanged.of(uri, before=etag, now=content.etag)
        if len(content.body) != size:
            raise StorageUnavailable(
                f"{uri}: bytes {start} to {start + size} asked for, but {len(content.body)} came",
                remedy="The object is truncated; write it again.",
            )
        return content.body

    def _etag_now(self, uri: str) -> str | None:
        info = self.head(uri)
        return None if info is None else info.etag

    def _etag_of(self, uri: str) -> str:
        """Of the object that several requests together shall read. Raises ObjectMissing."""
        etag = self._etag_now(uri)
        if etag is None:
            raise ObjectMissing(f"{uri}: there is no such object", remedy="Check the address.")
        return etag

    def _listed(self, prefix: str) -> Iterator[ObjectInfo]:
        bucket, key = _split(prefix)
        token: dict[str, str] = {}
        while True:
            page = self._page(prefix, bucket, key, token)
            for entry in page.get("Contents", ()):
                yield ObjectInfo(uri=f"s3://{bucket}/{entry['Key']}", size=entry["Size"], etag=entry["ETag"].strip('"'))
            if not page["IsTruncated"]:
                return
            token = {"ContinuationToken": page["NextContinuationToken"]}

    def _page(self, prefix: str, bucket: str, key: str, token: dict[str, str]) -> Any:
        return self._calls.run(prefix, lambda client: client.list_objects_v2(Bucket=bucket, Prefix=key, **token))

    def _uploads_page(self, prefix: str, bucket: str, key: str, markers: dict[str, str]) -> Any:
        return self._calls.run(
            prefix, lambda client: client.list_multipart_uploads(Bucket=bucket, Prefix=key, **markers)
        )


def _split(uri: str) -> tuple[str, str]:
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return bucket, key


def _address(uri: str) -> dict[str, str]:
    bucket, key = _split(uri)
    return {"Bucket": bucket, "Key": key}
