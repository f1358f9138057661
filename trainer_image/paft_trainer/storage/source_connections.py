"""How each source of a job is reached: as `spec.storage` says, with what the source itself says instead.

Credentials, first of these that there is: none, where the source is anonymous; the source's own `secretRef`; that of
storage, unless the source has an endpoint of its own; what boto3 finds in the environment, workload identity included.
"""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import botocore.session

from paft_api.run_spec import SecretFolder
from paft_api.spec.storage import SecretReference, SourceAccess, StorageSpec
from paft_trainer.errors import ConfigInvalid
from paft_trainer.storage.s3_connection import S3Connection


class Credentials:
    """Where the credentials of a Secret's name are: its mounted folder, or here the profile of that name."""

    def __init__(self, folders: Iterable[SecretFolder]) -> None:
        self._folders = {folder.secret_name: Path(folder.directory) for folder in folders}

    def of(self, connection: S3Connection, secret: SecretReference) -> S3Connection | None:
        """The connection with them; None where there are none of that name."""
        if secret.name in self._folders:
            return replace(connection, credentials_directory=self._folders[secret.name])
        if secret.name in botocore.session.Session().available_profiles:
            return replace(connection, profile=secret.name)
        return None


def storage_connection(storage: StorageSpec, credentials: Credentials) -> S3Connection:
    """To everything that is no source. Without a Secret or a profile of its name, the environment's credentials."""
    connection = _address(storage, endpoint=storage.endpoint, region=storage.region)
    found = credentials.of(connection, storage.secret_ref) if storage.secret_ref is not None else None
    return connection if found is None else found


def source_connection(place: str, source: SourceAccess, storage: StorageSpec, credentials: Credentials) -> S3Connection:
    """To a source. `place`: in the job file, for the message. Raises ConfigInvalid for credentials that are missing."""
    connection = _address(
        storage,
        endpoint=source.endpoint if source.endpoint is not None else storage.endpoint,
        region=source.region if source.region is not None else storage.region,
    )
    if source.anonymous:
        return replace(connection, anonymous=True)
    secret = source.secret_ref
    if secret is None and source.endpoint is None:
        secret = storage.secret_ref
    if secret is None:
        return connection
    found = credentials.of(connection, secret)
    if found is None and secret != storage.secret_ref:
        raise ConfigInvalid(
            f"{place}.secretRef {secret.name}: the AWS configuration of this machine has no profile of that name",
            remedy=f"Add it with `aws configure --profile {secret.name}`, or remove {place}.secretRef.",
        )
    return connection if found is None else found


def _address(storage: StorageSpec, *, endpoint: str | None, region: str | None) -> S3Connection:
    return S3Connection(
        endpoint=endpoint,
        region=region,
        ca_bundle=storage.ca_bundle,
        addressing_style=storage.addressing_style,
        checksums=storage.checksums,
    )
