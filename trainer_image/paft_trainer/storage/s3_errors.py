"""What answers and exceptions of botocore mean, in the errors of this package."""

from collections.abc import Mapping

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
_REFUSED = {"ExpiredToken", "InvalidToken", "InvalidIdentityToken", "AuthorizationHeaderMalformed"}
_STALE = {
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidAccessKeyId",
    "InvalidToken",
    "SignatureDoesNotMatch",
    "TokenRefreshRequired",
}
"""What a store answers where credentials expired or were rotated."""

_CLOCK = {"RequestTimeTooSkewed", "RequestExpired"}
_CONGESTION = {"SlowDown", "TooManyRequests", "ServiceUnavailable", "RequestLimitExceeded", "Throttling"}
_TEMPORARY = {"RequestTimeout", "BadDigest", "IncompleteBody"}
_CONDITION = {"PreconditionFailed", "412"}
_WITHOUT_CREDENTIALS = (
    botocore.exceptions.NoCredentialsError,
    botocore.exceptions.PartialCredentialsError,
    botocore.exceptions.ProfileNotFound,
)
_CERTIFICATE = "CERTIFICATE_VERIFY_FAILED"


def code_of(error: botocore.exceptions.ClientError) -> str:
    """The code, which for HEAD is the status: its answers have no body."""
    return str(error.response.get("Error", {}).get("Code", "")) or str(_status_of(error))


def headers_of(error: botocore.exceptions.ClientError) -> Mapping[str, str]:
    """Of the answer, in lower case."""
    headers: Mapping[str, str] = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    return headers


def is_refusal(error: botocore.exceptions.ClientError) -> bool:
    """Of HEAD, which does not say why."""
    return code_of(error) in ("400", "401", "403")


def may_be_the_clock(error: botocore.exceptions.ClientError) -> bool:
    """Whether a wrong time in the signature may have been the reason."""
    return code_of(error) in _CLOCK or is_refusal(error)


def may_be_the_credentials(error: botocore.exceptions.ClientError) -> bool:
    """Whether newer credentials may be taken."""
    return code_of(error) in _STALE or is_refusal(error)


def refused_for_the_clock(where: str, difference: str) -> StorageAuth:
    """What a store's clock is to ours, in words, and that signing with its time did not help."""
    return StorageAuth(
        f"{where}: refused for the time of the request: {difference}",
        remedy="Set the clock of this machine (NTP); a signature holds for 15 minutes.",
    )


def translated(where: str, error: Exception) -> Exception:
    """The error to raise for one that a client raised; TemporaryFault for what is worth another try."""
    match error:
        case botocore.exceptions.ClientError():
            return _translated_answer(where, error)
        case error if isinstance(error, _WITHOUT_CREDENTIALS):
            return StorageAuth(f"{where}: no credentials: {error}")
        case botocore.exceptions.ParamValidationError():
            return ConfigInvalid(f"{where}: {error}", remedy="Check the address.")
        case botocore.exceptions.SSLError() if _CERTIFICATE in str(error):
            return ConfigInvalid(
                f"{where}: the server's certificate is not trusted",
                remedy="Give the certificate of its authority in storage.caBundle.",
            )
        case _:
            return TemporaryFault(str(error))


def _status_of(error: botocore.exceptions.ClientError) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _translated_answer(where: str, error: botocore.exceptions.ClientError) -> Exception:
    code, status = code_of(error), _status_of(error)
    if code in _MISSING:
        missing = "bucket" if code == "NoSuchBucket" else "object"
        return ObjectMissing(f"{where}: there is no such {missing}", remedy="Check the address.")
    if code in _CONDITION:
        return PreconditionFailed(f"{where} exists already")
    if code == "NoSuchUpload":
        return UploadMissing(f"{where}: the store does not know this upload any more")
    if code == "NotImplemented" or status == 501:
        return OperationUnsupported(f"{where}: the store cannot do this ({code})", remedy="Use another object store.")
    if code in _CONGESTION or code in _TEMPORARY or status >= 500 or status in (408, 409, 429):
        is_congestion = code in _CONGESTION or status in (429, 503)
        return TemporaryFault(code, pause_seconds=_asked_pause(error), is_congestion=is_congestion)
    if code in _REFUSED or code in _STALE or status in (401, 403):
        return StorageAuth(f"{where}: refused ({code})")
    if code == "InvalidRange":
        return StorageUnavailable(
            f"{where}: bytes asked for lie beyond its end", remedy="The object is truncated; write it again."
        )
    return StorageUnavailable(f"{where}: {code}: {error.response.get('Error', {}).get('Message', '')}")


def _asked_pause(error: botocore.exceptions.ClientError) -> float:
    """Seconds of Retry-After (RFC 9110); 0 without one, or where it is a date."""
    asked = headers_of(error).get("retry-after", "")
    return float(asked) if asked.isdecimal() else 0.0
