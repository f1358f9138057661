"""Sessions of boto3 that find the credentials a connection asks for, and never tell them."""

from functools import cache
from pathlib import Path

import boto3
import botocore.session
from botocore.credentials import (
    CredentialProvider,
    CredentialResolver,
    Credentials,
    ReadOnlyCredentials,
)
from botocore.loaders import Loader, create_loader

from paft_trainer.storage.errors import StorageAuth
from paft_trainer.storage.s3_connection import S3Connection

ACCESS_KEY_FILE = "AWS_ACCESS_KEY_ID"
SECRET_KEY_FILE = "AWS_SECRET_ACCESS_KEY"
SESSION_TOKEN_FILE = "AWS_SESSION_TOKEN"
DEFAULT_REGION = "us-east-1"
METADATA_TRIES = 2


def open_session(connection: S3Connection) -> boto3.session.Session:
    """A new session, which looks for credentials when a request is signed. Raises botocore's ProfileNotFound."""
    core = botocore.session.Session(profile=connection.profile)
    # Web identities are exchanged for credentials in a region, too, and not every pod is told one.
    core.set_config_variable("region", connection.region or core.get_config_variable("region") or DEFAULT_REGION)
    core.set_config_variable("metadata_service_num_attempts", METADATA_TRIES)
    core.register_component("data_loader", _loader(core.get_config_variable("data_path")))
    if connection.credentials_directory is not None:
        provider = MountedSecretProvider(connection.credentials_directory)
        core.register_component("credential_provider", CredentialResolver([provider]))
    return boto3.session.Session(botocore_session=core)


@cache
def _loader(search_path: str | None) -> Loader:
    """One for all sessions: it remembers descriptions of services, which take longer to parse than all else."""
    return create_loader(search_path)


class MountedSecretProvider(CredentialProvider):
    """Finds credentials in the folder of a mounted Secret."""

    METHOD = "mounted-secret"

    def __init__(self, directory: Path) -> None:
        super().__init__()
        self._directory = directory

    def load(self) -> Credentials:
        """See botocore's CredentialProvider. Raises StorageAuth."""
        return MountedCredentials(self._directory)


class MountedCredentials(Credentials):
    """Reads the files for every request that is signed: the kubelet changes them under a running pod."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        found = self.get_frozen_credentials()
        super().__init__(found.access_key, found.secret_key, found.token, method=MountedSecretProvider.METHOD)

    def get_frozen_credentials(self) -> ReadOnlyCredentials:
        """Key, secret and token that belong together. Raises StorageAuth naming the file that is missing."""
        while True:
            version = self._version()
            found = ReadOnlyCredentials(
                self._read(ACCESS_KEY_FILE), self._read(SECRET_KEY_FILE), self._read_token(), account_id=None
            )
            # A Secret that changes between two of these reads would give one's key with another's secret.
            if version == self._version():
                return found

    def __repr__(self) -> str:
        return f"MountedCredentials({str(self._directory)!r})"

    def _version(self) -> tuple[tuple[int, int], ...]:
        names = (ACCESS_KEY_FILE, SECRET_KEY_FILE, SESSION_TOKEN_FILE)
        found = [path.stat() for name in names if (path := self._directory / name).exists()]
        return tuple((status.st_ino, status.st_mtime_ns) for status in found)

    def _read_token(self) -> str | None:
        return self._read(SESSION_TOKEN_FILE) if (self._directory / SESSION_TOKEN_FILE).exists() else None

    def _read(self, name: str) -> str:
        try:
            return (self._directory / name).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise StorageAuth(
                f"no credentials: {self._directory / name} cannot be read",
                remedy=f"The Secret needs the keys {ACCESS_KEY_FILE} and {SECRET_KEY_FILE}.",
            ) from error
