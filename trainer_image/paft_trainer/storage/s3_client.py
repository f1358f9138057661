"""A boto3 client for a connection; its own retries are off."""

import logging
import os
import ssl
from typing import Any

from botocore import UNSIGNED
from botocore.config import Config

from paft_trainer.errors import ConfigInvalid
from paft_trainer.storage.s3_connection import S3Connection
from paft_trainer.storage.s3_credentials import open_session
from paft_trainer.storage.stalls import Patience

CONNECT_SECONDS = 10
"""Also the longest that a piece of SEND_BYTES may take to be sent."""

CONNECTIONS = 32

# At level DEBUG botocore writes session tokens and signatures down.
logging.getLogger("botocore").setLevel(logging.INFO)


def open_client(connection: S3Connection, *, patience: Patience) -> Any:
    """A new client with a new session. Raises ConfigInvalid, and botocore's errors about credentials and profiles."""
    session = open_session(connection)
    try:
        return session.client(
            "s3",
            endpoint_url=connection.endpoint,
            verify=None if connection.ca_bundle is None else _as_file(connection.ca_bundle),
            config=_configuration(connection, patience),
        )
    except ValueError as error:
        raise ConfigInvalid(f"{connection.endpoint}: {error}", remedy="Check the endpoint.") from error


def _configuration(connection: S3Connection, patience: Patience) -> Config:
    return Config(
        signature_version=UNSIGNED if connection.anonymous else None,
        retries={"total_max_attempts": 1},
        connect_timeout=CONNECT_SECONDS,
        read_timeout=patience.answer_seconds,
        max_pool_connections=CONNECTIONS,
        # Bodies have digests of their own, which are signed; a SHA-256 beside them would cost most of all.
        s3={"addressing_style": _addressing_style(connection), "payload_signing_enabled": False},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )


def _addressing_style(connection: S3Connection) -> str:
    """As botocore names it."""
    if connection.addressing_style == "auto" and connection.endpoint is not None:
        return "path"
    return connection.addressing_style


def _as_file(pem: str) -> str:
    """The path of a file in memory with this text: TLS libraries take paths, and a pod's disks may be read-only."""
    try:
        ssl.create_default_context(cadata=pem)
    except ssl.SSLError as error:
        raise ConfigInvalid(
            "storage.caBundle holds no certificates in PEM form",
            remedy="Begin it with -----BEGIN CERTIFICATE-----, as authorities give it.",
        ) from error
    descriptor = os.memfd_create("paft-ca")
    os.write(descriptor, pem.encode())
    return f"/proc/self/fd/{descriptor}"
