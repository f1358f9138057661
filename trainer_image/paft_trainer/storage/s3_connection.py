"""How an S3-compatible server is reached, and as whom."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

AddressingStyle = Literal["auto", "path", "virtual"]
Checksums = Literal["when_required", "when_supported"]


@dataclass(frozen=True, kw_only=True, slots=True)
class S3Connection:
    """Address, trust and credentials of one server; holds no secret value, only where such values lie.

    With neither `anonymous`, `credentials_directory` nor `profile`, boto3's own chain finds credentials: environment,
    web identity (IRSA), shared configuration, container endpoint (Pod Identity), instance metadata.
    """

    endpoint: str | None = None
    """Address of the server with its scheme. Default: AWS, by region."""

    region: str | None = None
    """Default: what the environment or the profile says, else us-east-1."""

    ca_bundle: str | None = None
    """PEM text of the certificates that the server's must be signed by. Default: those that botocore brings."""

    addressing_style: AddressingStyle = "auto"
    """Bucket in the path or in the host name. `auto` is the path where an endpoint is given, else as botocore does."""

    checksums: Checksums = "when_required"
    """`when_supported` adds CRC32 checksums to every PUT and asks for those of every GET, which not all stores know."""

    anonymous: bool = False
    """Send requests without a signature, as public buckets take them."""

    credentials_directory: Path | None = None
    """A mounted Secret: files AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and, for temporary ones, AWS_SESSION_TOKEN."""

    profile: str | None = None
    """A profile of the shared configuration and credentials files."""
