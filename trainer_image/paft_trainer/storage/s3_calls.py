"""Calls on a boto3 client: tried again while that can help, with fresh credentials and the store's time."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import botocore.exceptions

from paft_trainer.storage.congestion import Congestion
from paft_trainer.storage.retries import RetryPolicy, TemporaryFault
from paft_trainer.storage.s3_client import CONNECTIONS, open_client
from paft_trainer.storage.s3_clock import StoreClock
from paft_trainer.storage.s3_connection import S3Connection
from paft_trainer.storage.s3_errors import (
    code_of,
    headers_of,
    is_refusal,
    may_be_the_clock,
    may_be_the_credentials,
    refused_for_the_clock,
    translated,
)
from paft_trainer.storage.stalls import Patience, StallWatch

Result = TypeVar("Result")
Operation = Callable[[Any], Result]


@dataclass(kw_only=True, slots=True)
class _Remedies:
    """What has been tried for one call."""

    renewed_credentials: bool = False
    set_clock: bool = False


class S3Calls:
    """One client for all threads, opened when it is first needed and again when its credentials are refused."""

    def __init__(self, connection: S3Connection, *, retries: RetryPolicy, patience: Patience) -> None:
        self.connection = connection
        self.patience = patience
        self.stalls = StallWatch(patience)
        self._retries = retries
        self._congestion = Congestion(at_most=CONNECTIONS)
        self._clock = StoreClock()
        self._lock = threading.Lock()
        self._client: Any = None

    def run(self, uri: str, operation: Operation[Result], *, given_up: threading.Event | None = None) -> Result:
        """The operation's result, within storage.retryWindow. `given_up`: see RetryPolicy."""
        where, remedies = self._where(uri), _Remedies()
        return self._retries.run(lambda: self._try(where, operation, remedies), what=where, given_up=given_up)

    def once(self, uri: str, operation: Operation[Result]) -> Result:
        """The operation's result at the first try. Raises TemporaryFault where another might help."""
        return self._try(self._where(uri), operation, _Remedies())

    def client(self) -> Any:
        """The client of the moment."""
        with self._lock:
            if self._client is None:
                self._client = open_client(self.connection, patience=self.patience)
                self._clock.attach(self._client)
            return self._client

    def _where(self, uri: str) -> str:
        endpoint = self.connection.endpoint
        return f"{uri} at {endpoint}" if endpoint is not None else uri

    def _try(self, where: str, operation: Operation[Result], remedies: _Remedies) -> Result:
        with self._congestion.request():
            client = None
            try:
                client = self.client()
                return operation(client)
            except botocore.exceptions.ClientError as error:
                self._apply_remedies(where, client, error, remedies)
                raise translated(where, error) from error
            except (botocore.exceptions.HTTPClientError, botocore.exceptions.BotoCoreError, ConnectionError) as error:
                raise translated(where, error) from error

    def _apply_remedies(
        self, where: str, client: Any, error: botocore.exceptions.ClientError, remedies: _Remedies
    ) -> None:
        """Raises TemporaryFault where something of ours was wrong and has been put right, once for each call."""
        if may_be_the_clock(error):
            if self._clock.learn(headers_of(error)) and not remedies.set_clock:
                remedies.set_clock = True
                raise TemporaryFault(f"{self._clock.describe()}; signing with the store's time") from error
            if not is_refusal(error):
                raise refused_for_the_clock(where, self._clock.describe()) from error
        if may_be_the_credentials(error) and not self.connection.anonymous and not remedies.renewed_credentials:
            remedies.renewed_credentials = True
            self._forget(client)
            raise TemporaryFault(f"the credentials were refused ({code_of(error)}); reading them again") from error

    def _forget(self, client: Any) -> None:
        """Unless another thread has done so."""
        with self._lock:
            if self._client is client:
                self._client = None
