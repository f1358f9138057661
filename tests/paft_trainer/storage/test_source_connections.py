"""Which server a source is read from, and as whom."""

from pathlib import Path

import pytest

from paft_api.run_spec import SecretFolder
from paft_api.spec.storage import SecretReference, SourceAccess, StorageSpec
from paft_trainer.errors import ConfigInvalid
from paft_trainer.storage.s3_connection import S3Connection
from paft_trainer.storage.source_connections import Credentials, source_connection, storage_connection

OWN, OTHER = SecretReference(name="s3"), SecretReference(name="models")
STORAGE = StorageSpec(
    artifacts_uri="s3://paft/artifacts/",
    endpoint="https://s3.example.com",
    region="eu-west-1",
    secret_ref=OWN,
    ca_bundle="-----BEGIN CERTIFICATE-----",
    addressing_style="path",
    checksums="when_supported",
)
HERE = S3Connection(
    endpoint="https://s3.example.com",
    region="eu-west-1",
    ca_bundle="-----BEGIN CERTIFICATE-----",
    addressing_style="path",
    checksums="when_supported",
)
MOUNTED = Credentials(
    (SecretFolder(secret_name="s3", directory="/c/s3"), SecretFolder(secret_name="models", directory="/c/models"))
)
CASES: dict[str, tuple[SourceAccess, dict[str, object]]] = {
    "as storage": (SourceAccess(), {"credentials_directory": Path("/c/s3")}),
    "other keys": (SourceAccess(secret_ref=OTHER), {"credentials_directory": Path("/c/models")}),
    "another region": (
        SourceAccess(region="us-west-2"),
        {"region": "us-west-2", "credentials_directory": Path("/c/s3")},
    ),
    "another server does not get the keys of storage": (
        SourceAccess(endpoint="https://else.example.com"),
        {"endpoint": "https://else.example.com"},
    ),
    "another server with the same keys": (
        SourceAccess(endpoint="https://else.example.com", secret_ref=OWN),
        {"endpoint": "https://else.example.com", "credentials_directory": Path("/c/s3")},
    ),
    "open to everybody": (SourceAccess(anonymous=True), {"anonymous": True}),
}


@pytest.mark.parametrize("case", CASES)
def test_a_source_is_reached_as_storage_but_for_what_it_says(case: str) -> None:
    source, differences = CASES[case]
    expected = {name: getattr(HERE, name) for name in S3Connection.__dataclass_fields__} | differences

    assert source_connection("spec.base", source, STORAGE, MOUNTED) == S3Connection(**expected)  # type: ignore[arg-type]


def test_all_else_is_reached_as_storage_says() -> None:
    assert storage_connection(STORAGE, MOUNTED).credentials_directory == Path("/c/s3")


@pytest.fixture
def profiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The shared configuration of this machine, without a profile."""
    file = tmp_path / "credentials"
    file.touch()
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    return file


def test_here_a_secret_is_the_profile_of_its_name(profiles: Path) -> None:
    profiles.write_text("[models]\naws_access_key_id = a\naws_secret_access_key = b\n")
    here = Credentials(())

    assert source_connection("spec.base", SourceAccess(secret_ref=OTHER), STORAGE, here).profile == "models"
    assert storage_connection(STORAGE, here) == HERE


def test_here_that_of_storage_may_be_the_environment_and_that_of_a_source_may_not(profiles: Path) -> None:
    here = Credentials(())

    assert storage_connection(STORAGE, here) == HERE
    assert source_connection("spec.base", SourceAccess(secret_ref=OWN), STORAGE, here) == HERE
    with pytest.raises(ConfigInvalid) as caught:
        source_connection("spec.sft.data.train[2]", SourceAccess(secret_ref=OTHER), STORAGE, here)
    assert caught.value.message == (
        "spec.sft.data.train[2].secretRef models: the AWS configuration of this machine has no profile of that name"
    )
    assert "aws configure --profile models" in caught.value.remedy
