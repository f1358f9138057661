"""`s3://` addresses through boto3: credentials, control operations and transfers.

boto3's own retries are off; `RetryPolicy` does them, so that one window holds for everything and waiting can be seen.
"""

import contextlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import botocore.exceptions

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
from paft_trainer.storage.retries import RetryPolicy, TemporaryFault
from paft_trainer.storage.s3_client import open_client
from paft_trainer.storage.s3_connection import S3Connection
from paft_trainer.storage.s3_errors import translated

Result = TypeVar("Result")

SILENCE_SECONDS = 60.0
FIRST_PART_BYTES = 8 * 1024 * 1024
"""Size of the first parts of a streamed write; what fits into one part is one PUT."""


class S3Store:
    """Objects of an S3-compatible server. `part_bytes`: size of the first parts of streamed writes."""

    def __init__(self, connection: S3Connection, *, retries: RetryPolicy, part_bytes: int = FIRST_PART_BYTES) -> None:
        self._connection = connection
        self._retries = retries
        self._part_bytes = part_bytes
        self._lock = threading.Lock()
        self._client: Any = None

    def head(self, uri: str) -> ObjectInfo | None:
        """Size and ETag, or None."""
        try:
            answer = self._call(uri, lambda client: client.head_object(**_address(uri)))
        except ObjectMissing:
            return None
        return ObjectInfo(uri=uri, size=answer["ContentLength"], etag=answer["ETag"].strip('"'))

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """All objects whose URI begins with `prefix`, in order."""
        # Not every store lists in order of the keys: SeaweedFS goes folder by folder, so that a/x comes before a-b.
        yield from sorted(self._listed(prefix), key=lambda info: info.uri)

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

    def read(self, uri: str) -> bytes:
        """The whole object."""
        return self._call(uri, lambda client: _content(client.get_object(**_address(uri))))[1]

    def read_range(self, uri: str, start: int, size: int, *, etag: str | None = None) -> bytes:
        """Part of an object."""
        if size == 0:
            return b""
        options = {"Range": f"bytes={start}-{start + size - 1}"}
        if etag is not None:
            options["IfMatch"] = f'"{etag}"'
        try:
            found, content = self._call(uri, lambda client: _content(client.get_object(**_address(uri), **options)))
        except PreconditionFailed as error:
            raise self._changed(uri, etag) from error
        # Not every store knows the condition.
        if etag is not None and found != etag:
            raise ObjectChanged.of(uri, before=etag, now=found)
        if len(content) != size:
            raise StorageUnavailable(
                f"{uri}: bytes {start} to {start + size} asked for, but {len(content)} came",
                remedy="The object is truncated; write it again.",
            )
        return content

    def put(self, uri: str, data: bytes, *, only_if_absent: bool = False) -> None:
        """Write an object at once."""
        condition = {"IfNoneMatch": "*"} if only_if_absent else {}
        try:
            self._call(uri, lambda client: client.put_object(**_address(uri), Body=data, **condition))
        except PreconditionFailed:
            # An earlier try may have been applied and its answer lost: then what is there is ours.
            if self.read(uri) != data:
                raise

    @contextmanager
    def open_writer(self, uri: str) -> Iterator[ObjectWriter]:
        """A streamed write."""
        writer = MultipartWriter(
            lambda operation: self._call(uri, operation),
            lambda operation: self._try(uri, operation),
            _address(uri),
            first_part_bytes=self._part_bytes,
        )
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
        self._call(uri, lambda client: client.delete_object(**_address(uri)))

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
            self._call(
                upload.uri,
                lambda client: client.abort_multipart_upload(**_address(upload.uri), UploadId=upload.upload_id),
            )

    def _changed(self, uri: str, etag: str | None) -> ObjectChanged:
        now = self.head(uri)
        return ObjectChanged.of(uri, before=str(etag), now=None if now is None else now.etag)

    def _uploads_page(self, prefix: str, bucket: str, key: str, markers: dict[str, str]) -> Any:
        return self._call(prefix, lambda client: client.list_multipart_uploads(Bucket=bucket, Prefix=key, **markers))

    def _page(self, prefix: str, bucket: str, key: str, token: dict[str, str]) -> Any:
        return self._call(prefix, lambda client: client.list_objects_v2(Bucket=bucket, Prefix=key, **token))

    def _call(self, uri: str, operation: Callable[[Any], Result]) -> Result:
        endpoint = self._connection.endpoint
        where = f"{uri} at {endpoint}" if endpoint is not None else uri
        return self._retries.run(lambda: self._try(where, operation), what=where)

    def _try(self, where: str, operation: Callable[[Any], Result]) -> Result:
        try:
            return operation(self._connected())
        except (
            botocore.exceptions.ClientError,
            botocore.exceptions.HTTPClientError,
            botocore.exceptions.BotoCoreError,
            ConnectionError,
        ) as error:
            raise translated(where, error) from error

    def _connected(self) -> Any:
        with self._lock:
            if self._client is None:
                self._client = open_client(self._connection, silence_seconds=SILENCE_SECONDS)
            return self._client


def _content(answer: Any) -> tuple[str, bytes]:
    """ETag and body."""
    content: bytes = answer["Body"].read()
    if len(content) != answer["ContentLength"]:
        raise TemporaryFault(f"the answer ended after {len(content)} of {answer['ContentLength']} bytes")
    return answer["ETag"].strip('"'), content


def _split(uri: str) -> tuple[str, str]:
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return bucket, key


def _address(uri: str) -> dict[str, str]:
    bucket, key = _split(uri)
    return {"Bucket": bucket, "Key": key}
