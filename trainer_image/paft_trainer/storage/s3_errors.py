"""What answers and exceptions of botocore mean, in the errors of this package."""

import botocore.exceptions

from paft_trainer.errors import ConfigInvalid
from paft_trainer.storage.errors import (
    ObjectMissing,
    OperationUnsupported,
    PreconditionFailed,
    StorageAuth,
    StorageUnavailable,
    UploadMissing,
)
from paft_trainer.storage.retries import TemporaryFault

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


def translated(where: str, error: Exception) -> Exception:
    """The error to raise for one that a client raised; TemporaryFault for what is worth another try."""
    match error:
        case botocore.exceptions.ClientError():
            return _translated_answer(where, error)
        case (
            botocore.exceptions.NoCredentialsError()
            | botocore.exceptions.PartialCredentialsError()
            | botocore.exceptions.ProfileNotFound()
        ):
            return StorageAuth(f"{where}: no credentials: {error}")
        case botocore.exceptions.ParamValidationError():
            return ConfigInvalid(f"{where}: {error}", remedy="Check the address.")
        case _:
            return TemporaryFault(str(error))


def _translated_answer(where: str, error: botocore.exceptions.ClientError) -> Exception:
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
