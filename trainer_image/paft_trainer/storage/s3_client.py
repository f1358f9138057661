"""A boto3 client for a connection; its own retries are off."""

import os
from typing import Any

from botocore import UNSIGNED
from botocore.config import Config

from paft_trainer.storage.s3_connection import S3Connection
from paft_trainer.storage.s3_credentials import open_session

DEFAULT_REGION = "us-east-1"
CONNECT_SECONDS = 10
CONNECTIONS = 32


def open_client(connection: S3Connection, *, silence_seconds: float) -> Any:
    """A new client with a new session. `silence_seconds`: without a byte, after which a connection counts as dead.

    Raises botocore's errors about credentials and profiles.
    """
    session = open_session(connection)
    return session.client(
        "s3",
        endpoint_url=connection.endpoint,
        region_name=connection.region or session.region_name or DEFAULT_REGION,
        verify=None if connection.ca_bundle is None else _as_file(connection.ca_bundle),
        config=Config(
            signature_version=UNSIGNED if connection.anonymous else None,
            retries={"total_max_attempts": 1},
            connect_timeout=CONNECT_SECONDS,
            read_timeout=silence_seconds,
            max_pool_connections=CONNECTIONS,
            s3={"addressing_style": addressing_style(connection)},
            request_checksum_calculation=connection.checksums,
            response_checksum_validation=connection.checksums,
        ),
    )


def addressing_style(connection: S3Connection) -> str:
    """As botocore names it."""
    if connection.addressing_style == "auto" and connection.endpoint is not None:
        return "path"
    return connection.addressing_style


def _as_file(pem: str) -> str:
    """The path of a file in memory with this text: TLS libraries take paths, and a pod's disks may be read-only."""
    descriptor = os.memfd_create("paft-ca")
    os.write(descriptor, pem.encode())
    return f"/proc/self/fd/{descriptor}"
