"""spec.storage: where artifacts live and how object storage is reached."""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from paft_api.model import DnsLabel, FolderUri, Model

Endpoint = Annotated[str, StringConstraints(max_length=512, pattern=r"^https?://[!-.0->A-~]+/?$")]
"""Scheme, host and port of a server. No user and password: everybody may read them who reads the job."""

Region = Annotated[str, StringConstraints(min_length=1, max_length=64)]


def _require_certificates(pem: str) -> str:
    if "-----BEGIN CERTIFICATE-----" not in pem:
        raise ValueError("it holds no certificate; give PEM text with -----BEGIN CERTIFICATE-----")
    if "PRIVATE KEY-----" in pem:
        raise ValueError("it holds a private key, which everybody could read who reads this job; remove it")
    return pem


class SecretReference(Model):
    """A Secret in the PaftJob's own namespace."""

    name: DnsLabel
    """Name of the Secret; its keys AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and, where it is there, AWS_SESSION_TOKEN
    are used."""


class SourceAccess(Model):
    """How one source is reached where that is not as `spec.storage` says."""

    secret_ref: SecretReference | None = None
    """Credentials for this source alone. In a cluster a Secret; `paft run` takes the profile of that name from the
    shared AWS configuration. Default: those of storage, or workload identity where the source has an endpoint of its
    own."""

    endpoint: Endpoint | None = None
    """Address of the S3-compatible server that has this source. Credentials of storage are not sent there.
    Default: storage.endpoint."""

    region: Region | None = None
    """Region of this source's bucket. Default: storage.region."""

    anonymous: bool = False
    """Read a public bucket, with requests that are not signed. Default: false."""

    @model_validator(mode="after")
    def _anonymous_has_no_secret(self) -> Self:
        if self.anonymous and self.secret_ref is not None:
            raise ValueError("anonymous true needs no secretRef; remove one of the two")
        return self


class StorageSpec(Model):
    """One block for all stages."""

    artifacts_uri: FolderUri
    """Folder for adapters, checkpoints and the base index. Jobs share it: finished work is found by content."""

    endpoint: Endpoint | None = None
    """Address of an S3-compatible server. Default: AWS."""

    region: Region | None = None
    """Region of the buckets. Default: what the environment says, else us-east-1."""

    secret_ref: SecretReference | None = None
    """Credentials in a cluster. Default: workload identity. `paft run` takes the profile of that name from the shared
    AWS configuration where it has one, else what its own environment gives."""

    ca_bundle: Annotated[str, StringConstraints(max_length=65536), AfterValidator(_require_certificates)] | None = None
    """Certificates in PEM of the authorities that sign the servers' own, at most 65536 characters; for every endpoint.
    Default: the image's."""

    addressing_style: Literal["auto", "path", "virtual"] = "auto"
    """Where requests name the bucket: in the path, in the host's name (virtual), or in the path exactly where an
    endpoint is given (auto). Default: auto."""

    checksums: Literal["when_required", "when_supported"] = "when_required"
    """When requests carry checksums of their own, in the words of the AWS configuration: many servers that are not
    AWS refuse them. Files are verified in any case. Default: when_required."""

    retry_window: Annotated[int, Field(ge=0, le=86400)] = 600
    """Seconds for which an object store that does not answer is tried again. Default: 600."""

    allow_unconditional_publish: bool = False
    """Publish to a store without conditional writes, giving up protection against a second writer. Default: false."""
