"""`s3://` addresses through boto3: credentials, control operations and transfers.

boto3's own retries are off; `RetryPolicy` does them, so that one window holds for everything and waiting can be seen.
"""

import contextlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import boto3
import botocore.exceptions
from botocore.config import Config

from paft_trainer.errors import ConfigInvalid
from paft_trainer.storage.errors import (
    ObjectMissing,
    OperationUnsupported,
    PreconditionFailed,
    StorageAuth,
    StorageError,
    StorageUnavailable,
    UploadMissing,
)
from paft_trainer.storage.multipart_writer import MultipartWriter
from paft_trainer.storage.object_store import ObjectInfo, ObjectWriter
from paft_trainer.storage.retries import RetryPolicy, TemporaryFault

Result = TypeVar("Result")

DEFAULT_REGION = "us-east-1"
FIRST_PART_BYTES = 8 * 1024 * 1024
"""Size of the first parts of a streamed write; what fits into one part is one PUT."""

_MISSING = {"NoSuchKey", "NoSuchBucket", "404", "NotFound"}
_REFUSED = {
    "ExpiredToken",
    "InvalidToken",
    "InvalidIdentityToken",
    "AuthorizationHeaderMalformed",
    "TokenRefreshRequired",
}
"""Codes that come with status 400; 401 and 403 are refusals whatever their code."""

_TEMPORARY = {"SlowDown", "RequestTimeout", "RequestTimeTooSkewed"}
_CONDITION = {"PreconditionFailed", "412"}


class S3Store:
    """Objects of an S3-compatible server.

    `endpoint`: its address, None for AWS. `region`: None for what the environment says. `part_bytes`: size of the first
    parts of streamed writes.
    """

    def __init__(
        self,
        *,
        endpoint: str | None,
        region: str | None,
        retries: RetryPolicy,
        part_bytes: int = FIRST_PART_BYTES,
    ) -> None:
        self._endpoint = endpoint
        self._region = region
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
        return self._call(uri, lambda client: _body(client.get_object(**_address(uri))))

    def read_range(self, uri: str, start: int, size: int) -> bytes:
        """Part of an object."""
        if size == 0:
            return b""
        wanted = f"bytes={start}-{start + size - 1}"
        content = self._call(uri, lambda client: _body(client.get_object(**_address(uri), Range=wanted)))
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

    def _page(self, prefix: str, bucket: str, key: str, token: dict[str, str]) -> Any:
        return self._call(prefix, lambda client: client.list_objects_v2(Bucket=bucket, Prefix=key, **token))

    def _call(self, uri: str, operation: Callable[[Any], Result]) -> Result:
        where = f"{uri} at {self._endpoint}" if self._endpoint is not None else uri
        return self._retries.run(lambda: self._try(where, operation), what=where)

    def _try(self, where: str, operation: Callable[[Any], Result]) -> Result:
        try:
            return operation(self._connected())
        except botocore.exceptions.ClientError as error:
            raise _translated(where, error) from error
        except (
            botocore.exceptions.NoCredentialsError,
            botocore.exceptions.PartialCredentialsError,
            botocore.exceptions.ProfileNotFound,
        ) as error:
            raise StorageAuth(f"{where}: no credentials: {error}") from error
        except botocore.exceptions.ParamValidationError as error:
            raise ConfigInvalid(f"{where}: {error}", remedy="Check the address.") from error
        except (botocore.exceptions.HTTPClientError, botocore.exceptions.BotoCoreError, ConnectionError) as error:
            raise TemporaryFault(str(error)) from error

    def _connected(self) -> Any:
        with self._lock:
            if self._client is None:
                session = boto3.session.Session()
                self._client = session.client(
                    "s3",
                    endpoint_url=self._endpoint,
                    region_name=self._region or session.region_name or DEFAULT_REGION,
                    config=Config(
                        retries={"total_max_attempts": 1},
                        connect_timeout=10,
                        read_timeout=60,
                        max_pool_connections=16,
                        s3={"addressing_style": "path" if self._endpoint is not None else "auto"},
                        request_checksum_calculation="when_required",
                        response_checksum_validation="when_required",
                    ),
                )
            return self._client


def _translated(where: str, error: botocore.exceptions.ClientError) -> Exception:
    code = str(error.response.get("Error", {}).get("Code", ""))
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    if code in _MISSING:
        missing = "bucket" if code == "NoSuchBucket" else "object"
        return ObjectMissing(f"{where}: there is no such {missing}", remedy="Check the address.")
    if code in _CONDITION:
        return PreconditionFailed(f"{where} exists already")
    if code == "NoSuchUpload":
        return UploadMissing(f"{where}: the store does not know this upload any more")
    if code == "NotImplemented" or status == 501:
        return OperationUnsupported(f"{where}: the store cannot do this ({code})", remedy="Use another object store.")
    if code in _TEMPORARY or status >= 500 or status in (408, 409, 429):
        return TemporaryFault(code or str(status))
    if code in _REFUSED or status in (401, 403):
        return StorageAuth(f"{where}: refused ({code})")
    if code == "InvalidRange":
        return StorageUnavailable(
            f"{where}: bytes asked for lie beyond its end", remedy="The object is truncated; write it again."
        )
    return StorageUnavailable(f"{where}: {code or status}: {error.response.get('Error', {}).get('Message', '')}")


def _body(answer: Any) -> bytes:
    content: bytes = answer["Body"].read()
    if len(content) != answer["ContentLength"]:
        raise TemporaryFault(f"the answer ended after {len(content)} of {answer['ContentLength']} bytes")
    return content


def _split(uri: str) -> tuple[str, str]:
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return bucket, key


def _address(uri: str) -> dict[str, str]:
    bucket, key = _split(uri)
    return {"Bucket": bucket, "Key": key}
