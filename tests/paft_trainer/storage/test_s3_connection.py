"""Certificates, addresses and checksums of connections."""

import datetime
import ipaddress
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from tests.paft_trainer.storage.unreliable_proxy import UnreliableProxy, _Handler, damage_request, unreliable_proxy

from paft_api.spec.storage import StorageSpec
from paft_trainer.errors import ConfigInvalid
from paft_trainer.storage.retries import RetryPolicy
from paft_trainer.storage.s3_client import open_client
from paft_trainer.storage.s3_connection import AddressingStyle, Checksums, S3Connection
from paft_trainer.storage.s3_store import S3Store
from paft_trainer.storage.stalls import Patience

MIB = 1024 * 1024


def store_of(connection: S3Connection, waits: list[str]) -> S3Store:
    return S3Store(connection, retries=RetryPolicy(window_seconds=5, on_wait=waits.append), part_bytes=5 * MIB)


def write_certificate(folder: Path) -> str:
    """A key and a certificate of its own for 127.0.0.1; returns the latter as PEM."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.datetime.now(datetime.UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "private authority")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM).decode()
    (folder / "certificate.pem").write_text(pem)
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return pem


@contextmanager
def tls_proxy(upstream: str, folder: Path) -> Iterator[str]:
    """The proxy of other tests behind TLS; yields its address."""
    handler = type("Handler", (_Handler,), {})
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "certificate.pem", folder / "key.pem")
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        handler.proxy = UnreliableProxy(upstream, server.server_port)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"https://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_a_private_authority_is_trusted_when_it_is_given(s3: StorageSpec, tmp_path: Path) -> None:
    pem, uri, waits = write_certificate(tmp_path), f"{s3.artifacts_uri}x", []
    assert s3.endpoint is not None
    with tls_proxy(s3.endpoint, tmp_path) as endpoint:
        store = store_of(S3Connection(endpoint=endpoint, ca_bundle=pem), waits)
        store.put(uri, b"content")
        assert store.read(uri) == b"content"
        with pytest.raises(ConfigInvalid, match="the server's certificate is not trusted") as caught:
            store_of(S3Connection(endpoint=endpoint), waits).read(uri)
        assert caught.value.remedy == "Give the certificate of its authority in storage.caBundle."
    assert waits == []


def test_a_bundle_without_certificates_is_refused(s3: StorageSpec) -> None:
    connection = S3Connection(endpoint=s3.endpoint, ca_bundle="no certificate")
    with pytest.raises(ConfigInvalid, match=r"storage.caBundle holds no certificates in PEM form"):
        store_of(connection, []).read(f"{s3.artifacts_uri}x")


def test_an_endpoint_that_is_no_address_is_refused() -> None:
    with pytest.raises(ConfigInvalid, match="not an address"):
        store_of(S3Connection(endpoint="not an address"), []).read("s3://bucket/key")


@pytest.mark.parametrize(
    ("style", "endpoint", "expected"),
    [
        ("auto", "http://store.example:9000", "http://store.example:9000/bucket/key"),
        ("path", "http://store.example:9000", "http://store.example:9000/bucket/key"),
        ("virtual", "http://store.example:9000", "http://bucket.store.example:9000/key"),
        ("auto", None, "https://bucket.s3.amazonaws.com/key"),
        ("path", None, "https://s3.amazonaws.com/bucket/key"),
    ],
)
def test_where_the_bucket_stands(s3: StorageSpec, style: AddressingStyle, endpoint: str | None, expected: str) -> None:
    client = open_client(S3Connection(endpoint=endpoint, addressing_style=style), patience=Patience())
    assert client.generate_presigned_url("get_object", {"Bucket": "bucket", "Key": "key"}).partition("?")[0] == expected


@pytest.mark.parametrize("checksums", ["when_required", "when_supported"])
def test_bodies_that_are_damaged_on_their_way_are_sent_again(s3: StorageSpec, checksums: Checksums) -> None:
    assert s3.endpoint is not None
    waits: list[str] = []
    with unreliable_proxy(s3.endpoint) as proxy:
        store = store_of(S3Connection(endpoint=proxy.endpoint, checksums=checksums), waits)
        small, large = f"{s3.artifacts_uri}small", f"{s3.artifacts_uri}large"
        proxy.faults = [("PUT", "small", damage_request), ("PUT", "partNumber=2", damage_request)]
        store.put(small, b"content")
        with store.open_writer(large) as writer:
            writer.write(b"ab" * 7 * MIB)
        assert proxy.faults == []
        assert store.read(small) == b"content"
        assert store.read(large) == b"ab" * 7 * MIB
    assert len(waits) == 2
    assert all(wait.endswith(": BadDigest") for wait in waits)
