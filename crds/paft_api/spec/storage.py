"""spec.storage: where artifacts live and how object storage is reached."""

from typing import Annotated

from pydantic import Field, StringConstraints

from paft_api.model import DnsLabel, FolderUri, Model


class SecretReference(Model):
    """A Secret in the PaftJob's own namespace."""

    name: DnsLabel
    """Name of the Secret; its keys AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and, where it is there, AWS_SESSION_TOKEN
    are used."""


class StorageSpec(Model):
    """One block for all stages."""

    artifacts_uri: FolderUri
    """Folder for adapters, checkpoints and the base index. Jobs share it: finished work is found by content."""

    endpoint: Annotated[str, StringConstraints(max_length=512, pattern=r"^https?://[!-.0-~]+/?$")] | None = None
    """Address of an S3-compatible server. Default: AWS."""

    region: Annotated[str, StringConstraints(min_length=1, max_length=64)] | None = None
    """Region of the buckets. Default: what the environment says, else us-east-1."""

    secret_ref: SecretReference | None = None
    """Credentials in a cluster. Default: workload identity. `paft run` takes AWS_* from its own environment."""

    retry_window: Annotated[int, Field(ge=0, le=86400)] = 600
    """Seconds for which an object store that does not answer is tried again. Default: 600."""

    allow_unconditional_publish: bool = False
    """Publish to a store without conditional writes, giving up protection against a second writer. Default: false."""
