"""Signing with the store's time where this machine's clock is wrong.

Signatures hold for 15 minutes around the time in them. Every answer tells the store's time in its Date header.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import botocore.auth
import botocore.compat

SIGNATURE_VERSION = "paft-s3v4"
_OFFSET = "paft_clock_offset"
_PLAIN_SIGNATURES = ("s3v4", "v4")
NOTABLE_SECONDS = 60.0


class _CorrectedAuth(botocore.auth.S3SigV4Auth):
    """Signature version 4 with the store's time; botocore calls the hook once it has written its own."""

    def _modify_request_before_signing(self, request: Any) -> None:
        local = datetime.strptime(request.context["timestamp"], botocore.auth.SIGV4_TIMESTAMP)
        corrected = local + request.context[_OFFSET]
        request.context["timestamp"] = corrected.strftime(botocore.auth.SIGV4_TIMESTAMP)
        super()._modify_request_before_signing(request)


botocore.auth.AUTH_TYPE_MAPS[SIGNATURE_VERSION] = _CorrectedAuth


class StoreClock:
    """How far a store's clock is ahead of this machine's."""

    def __init__(self) -> None:
        self.offset = timedelta()

    def attach(self, client: Any) -> None:
        """Make a client sign with the store's time, once it is known to differ."""
        client.meta.events.register("choose-signer.s3", self._choose)

    def learn(self, headers: Mapping[str, str]) -> bool:
        """Take the time from an answer's headers; False where they tell nothing new."""
        try:
            told = parsedate_to_datetime(headers["date"])
        except (KeyError, ValueError):
            return False
        offset = told - botocore.compat.get_current_datetime().replace(tzinfo=UTC)
        if abs(offset - self.offset) < timedelta(seconds=NOTABLE_SECONDS):
            return False
        self.offset = offset
        return True

    def describe(self) -> str:
        """In words, with the seconds."""
        seconds = self.offset.total_seconds()
        return f"this machine's clock is {abs(seconds):.0f} s {'behind' if seconds > 0 else 'ahead of'} the store's"

    def _choose(self, signature_version: Any, context: dict[str, Any], **_: Any) -> str | None:
        if not self.offset or signature_version not in _PLAIN_SIGNATURES:
            return None
        context[_OFFSET] = self.offset
        return SIGNATURE_VERSION
