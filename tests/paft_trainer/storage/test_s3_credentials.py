"""Where credentials come from, each place for real; a gate checks every signature, token and time."""

import logging
import os
import re
import traceback
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from hack import seaweedfs
from tests.conftest import BUCKET
from tests.paft_trainer.storage.signing_gate import Issued, SigningGate, signing_gate

from paft_api.causes import Cause
from paft_trainer.errors import StageError
from paft_trainer.storage import StorageAuth
from paft_trainer.storage.retries import RetryPolicy
from paft_trainer.storage.s3_connection import S3Connection
from paft_trainer.storage.s3_store import S3Store

URI = f"s3://{BUCKET}/credentials/x"


@pytest.fixture
def gate(s3_server: seaweedfs.S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[SigningGate]:
    """In a process that finds credentials nowhere, until the test gives it some."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    with signing_gate(s3_server) as gate:
        yield gate


@pytest.fixture
def waits() -> list[str]:
    """What a store waited for."""
    return []


def store_at(gate: SigningGate, waits: list[str], **options: object) -> S3Store:
    connection = S3Connection(endpoint=gate.endpoint, **options)
    return S3Store(connection, retries=RetryPolicy(window_seconds=5, on_wait=waits.append))


def require_use(store: S3Store) -> None:
    store.put(URI, b"content")
    assert store.read(URI) == b"content"
    info = store.head(URI)
    assert info is not None
    assert info.size == 7


def set_environment(monkeypatch: pytest.MonkeyPatch, issued: Issued) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", issued.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", issued.secret_key)
    monkeypatch.setenv("AWS_SESSION_TOKEN", str(issued.token))


def write_secret(directory: Path, issued: Issued) -> None:
    """As the kubelet does: a new folder of files, to which one link changes at once."""
    version = directory / f"..{issued.access_key}"
    version.mkdir(parents=True)
    (version / "AWS_ACCESS_KEY_ID").write_text(issued.access_key)
    (version / "AWS_SECRET_ACCESS_KEY").write_text(issued.secret_key + "\n")
    if issued.token is not None:
        (version / "AWS_SESSION_TOKEN").write_text(issued.token)
    (directory / "..new").symlink_to(version.name)
    os.replace(directory / "..new", directory / "..data")
    for path in version.iterdir():
        if not (directory / path.name).is_symlink():
            (directory / path.name).symlink_to(f"..data/{path.name}")


def test_from_the_environment(gate: SigningGate, waits: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    set_environment(monkeypatch, gate.issue())
    require_use(store_at(gate, waits))
    assert waits == []


def test_from_a_profile(gate: SigningGate, waits: list[str], tmp_path: Path) -> None:
    issued = gate.issue()
    (tmp_path / "credentials").write_text(
        f"[team]\naws_access_key_id = {issued.access_key}\naws_secret_access_key = {issued.secret_key}\n"
        f"aws_session_token = {issued.token}\n"
    )
    (tmp_path / "config").write_text("[profile team]\nregion = eu-central-1\n")
    store = store_at(gate, waits, profile="team")
    require_use(store)
    assert store._calls.client().meta.region_name == "eu-central-1"
    with pytest.raises(StorageAuth, match=r"no credentials: The config profile \(other\) could not be found"):
        store_at(gate, waits, profile="other").read(URI)


@pytest.mark.parametrize("token", [True, False], ids=["temporary", "lasting"])
def test_from_a_mounted_secret_that_is_rotated(
    gate: SigningGate, waits: list[str], tmp_path: Path, token: bool
) -> None:
    old = gate.issue(token=token)
    write_secret(tmp_path / "secret", old)
    store = store_at(gate, waits, credentials_directory=tmp_path / "secret")
    require_use(store)
    write_secret(tmp_path / "secret", gate.issue(token=token))
    del gate.issued[old.access_key]
    require_use(store)
    assert waits == []


def test_a_secret_without_its_keys_is_named(gate: SigningGate, waits: list[str], tmp_path: Path) -> None:
    with pytest.raises(StorageAuth) as caught:
        store_at(gate, waits, credentials_directory=tmp_path).read(URI)
    assert caught.value.message == f"no credentials: {tmp_path}/AWS_ACCESS_KEY_ID cannot be read"
    assert caught.value.remedy == "The Secret needs the keys AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."


def test_from_a_web_identity_and_again_before_they_expire(
    gate: SigningGate, waits: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "token").write_text("first")
    monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/training")
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "token"))
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", f"{gate.endpoint}/sts")
    gate.lifetime = timedelta(minutes=5)
    store = store_at(gate, waits)
    require_use(store)
    (tmp_path / "token").write_text("second")
    require_use(store)
    assert gate.web_identities[0] == "first"
    assert gate.web_identities[-1] == "second"
    assert waits == []


def test_from_the_container_endpoint_of_pod_identity(
    gate: SigningGate, waits: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "token").write_text("pod-1")
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{gate.endpoint}/container")
    monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", str(tmp_path / "token"))
    gate.lifetime = timedelta(minutes=5)
    store = store_at(gate, waits)
    require_use(store)
    (tmp_path / "token").write_text("pod-2")
    require_use(store)
    assert gate.container_tokens[0] == "pod-1"
    assert gate.container_tokens[-1] == "pod-2"


def test_from_instance_metadata(gate: SigningGate, waits: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_EC2_METADATA_DISABLED")
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", gate.endpoint)
    store = store_at(gate, waits)
    require_use(store)
    assert len(gate.metadata_tokens) == 1
    assert len(gate.issued) == 1


def test_credentials_that_expired_early_are_read_again(
    gate: SigningGate, waits: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{gate.endpoint}/container")
    monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "pod")
    store = store_at(gate, waits)
    for use in (lambda: store.put(URI, b"content"), lambda: store.read(URI), lambda: store.head(URI)):
        use()
        for issued in gate.issued.values():
            issued.is_expired = True
        use()
    assert [wait.rpartition(": ")[2] for wait in waits] == [
        "the credentials were refused (ExpiredToken); reading them again",
        "the credentials were refused (ExpiredToken); reading them again",
        "the credentials were refused (400); reading them again",
    ]


def test_credentials_that_stay_refused_end_it(
    gate: SigningGate, waits: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    issued = gate.issue()
    issued.is_expired = True
    set_environment(monkeypatch, issued)
    with pytest.raises(StorageAuth, match=r"refused \(ExpiredToken\)"):
        store_at(gate, waits).read(URI)
    assert len(gate.requests) == 2


@pytest.mark.parametrize("hours", [-2, 3])
def test_a_wrong_clock_of_this_machine_is_corrected(
    gate: SigningGate, waits: list[str], monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    set_environment(monkeypatch, gate.issue())
    gate.clock_offset = timedelta(hours=hours)
    store = store_at(gate, waits)
    assert store.head(f"{URI}-missing") is None
    require_use(store)
    (wait,) = waits
    told = re.search(r"this machine's clock is (\d+) s (.+) the store's; signing with the store's time$", wait)
    assert told is not None
    assert abs(int(told[1]) - abs(hours) * 3600) <= 2
    assert told[2] == ("ahead of" if hours < 0 else "behind")


def test_a_clock_that_cannot_be_corrected_is_an_error_with_the_difference(
    gate: SigningGate, waits: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    set_environment(monkeypatch, gate.issue())
    gate.clock_offset = timedelta(hours=1)
    gate.trusts_no_time = True
    with pytest.raises(StorageAuth) as caught:
        store_at(gate, waits).read(URI)
    assert "refused for the time of the request: this machine's clock is 3" in caught.value.message
    assert caught.value.message.endswith(" s behind the store's")
    assert caught.value.remedy == "Set the clock of this machine (NTP); a signature holds for 15 minutes."


def test_public_objects_are_read_without_credentials(gate: SigningGate, waits: list[str], s3: object) -> None:
    gate.issue()
    gate.is_public = True
    store = store_at(gate, waits, anonymous=True)
    require_use(store)
    gate.is_public = False
    with pytest.raises(StorageAuth, match=r"refused \(AccessDenied\)"):
        store.read(URI)


def test_planted_secrets_are_told_nowhere(
    gate: SigningGate,
    waits: list[str],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    issued = gate.issue()
    write_secret(tmp_path / "secret", issued)
    store = store_at(gate, waits, credentials_directory=tmp_path / "secret")
    require_use(store)
    told = [repr(store), repr(store._calls), repr(store._calls.connection), repr(store._calls.client())]
    told.append(repr(store._calls.client()._request_signer._credentials))
    for harm in ("is_expired", "trusts_no_time", "gone"):
        gate.trusts_no_time = harm == "trusts_no_time"
        issued.is_expired = harm == "is_expired"
        if harm == "gone":
            gate.issued.clear()
        with pytest.raises(StageError) as caught:
            store.put(URI, b"content")
        assert caught.value.cause is Cause.STORAGE_AUTH
        told += [repr(caught.value), caught.value.remedy, *traceback.format_exception(caught.value)]
    told += [caplog.text, *capfd.readouterr(), *waits, Path("/proc/self/cmdline").read_text()]
    everything = "\n".join(told)
    assert issued.secret_key not in everything
    assert str(issued.token) not in everything
