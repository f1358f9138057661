"""A gate before a real S3 server that checks signatures as AWS does, and issues the credentials it checks.

SeaweedFS knows neither session tokens of others nor the time of a request. The gate issues temporary credentials at the
three places where pods find them (STS, the container endpoint, the instance metadata service), lets only requests pass
that are signed by them in time, and hands those on with a signature that the server knows.
"""

import hmac
import http.client
import json
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hack.seaweedfs import S3Server

SIGNATURE_HOLDS = timedelta(minutes=15)
HANDED_ON = ("content-md5", "content-type", "range", "if-match", "if-none-match")
METADATA_ROLE = "node-role"


@dataclass
class Issued:
    """Credentials, and what the gate thinks of them."""

    access_key: str
    secret_key: str
    token: str | None
    expires_at: datetime
    is_expired: bool = False


class SigningGate:
    """`lifetime`: of what is issued from now on. `clock_offset`: how far its clock is ahead of the machine's."""

    def __init__(self, server: S3Server, port: int) -> None:
        self.server = server
        self.endpoint = f"http://127.0.0.1:{port}"
        self.issued: dict[str, Issued] = {}
        self.lifetime = timedelta(hours=1)
        self.clock_offset = timedelta()
        self.trusts_no_time = False
        self.is_public = False
        self.web_identities: list[str] = []
        self.container_tokens: list[str] = []
        self.metadata_tokens: list[str] = []
        self.requests: list[tuple[str, str]] = []

    def issue(self, *, token: bool = True) -> Issued:
        """New credentials."""
        made = Issued(
            access_key=f"key-{secrets.token_hex(6)}",
            secret_key=f"planted-{secrets.token_hex(12)}",
            token=f"planted-{secrets.token_hex(12)}" if token else None,
            expires_at=datetime.now(UTC) + self.lifetime,
        )
        self.issued[made.access_key] = made
        return made

    def now(self) -> datetime:
        """By its own clock."""
        return datetime.now(UTC) + self.clock_offset

    def refusal(self, method: str, url: str, headers: dict[str, str]) -> str | None:
        """The code of an S3 error, or None for a request that may pass."""
        authorization = headers.get("authorization")
        if authorization is None:
            return None if self.is_public else "AccessDenied"
        fields = dict(part.strip().split("=", 1) for part in authorization.split(" ", 1)[1].split(","))
        access_key, _, region, service, _ = fields["Credential"].split("/")
        known = self.issued.get(access_key)
        if known is None:
            return "InvalidAccessKeyId"
        if headers.get("x-amz-security-token") != known.token:
            return "InvalidToken"
        if known.is_expired:
            return "ExpiredToken"
        signed_at = datetime.strptime(headers["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        if self.trusts_no_time or abs(self.now() - signed_at) > SIGNATURE_HOLDS:
            return "RequestTimeTooSkewed"
        request = AWSRequest(method, url, {name: headers[name] for name in fields["SignedHeaders"].split(";")})
        request.context["timestamp"] = headers["x-amz-date"]
        auth = S3SigV4Auth(Credentials(access_key, known.secret_key), service, region)
        expected = auth.signature(auth.string_to_sign(request, auth.canonical_request(request)), request)
        return None if hmac.compare_digest(expected, fields["Signature"]) else "SignatureDoesNotMatch"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    gate: SigningGate

    def handle_request(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path = urlsplit(self.path).path
        self.gate.requests.append((self.command, self.path))
        if path.startswith("/sts"):
            self._security_token_service(parse_qs(body.decode()))
        elif path == "/container":
            self.gate.container_tokens.append(self.headers["Authorization"])
            self._answer(200, json.dumps(self._issue_document()).encode())
        elif path.startswith("/latest/"):
            self._instance_metadata(path)
        else:
            self._object_storage(body)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = handle_request  # noqa: N815  (the names in http.server)

    def _security_token_service(self, form: dict[str, list[str]]) -> None:
        assert form["Action"] == ["AssumeRoleWithWebIdentity"]
        self.gate.web_identities.append(form["WebIdentityToken"][0])
        made = self.gate.issue()
        self._answer(
            200,
            '<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">'
            f"<AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>{made.access_key}</AccessKeyId>"
            f"<SecretAccessKey>{made.secret_key}</SecretAccessKey><SessionToken>{made.token}</SessionToken>"
            f"<Expiration>{made.expires_at:%Y-%m-%dT%H:%M:%SZ}</Expiration></Credentials>"
            "</AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>".encode(),
        )

    def _instance_metadata(self, path: str) -> None:
        if path == "/latest/api/token":
            self.gate.metadata_tokens.append(secrets.token_hex(8))
            self._answer(200, self.gate.metadata_tokens[-1].encode())
        elif self.headers["x-aws-ec2-metadata-token"] not in self.gate.metadata_tokens:
            self._answer(401, b"")
        elif path.endswith(METADATA_ROLE):
            document = {"Code": "Success", "Type": "AWS-HMAC", "LastUpdated": "2026-01-01T00:00:00Z"}
            self._answer(200, json.dumps(document | self._issue_document()).encode())
        else:
            self._answer(200, METADATA_ROLE.encode())

    def _issue_document(self) -> dict[str, str]:
        made = self.gate.issue()
        return {
            "AccessKeyId": made.access_key,
            "SecretAccessKey": made.secret_key,
            "Token": str(made.token),
            "Expiration": f"{made.expires_at:%Y-%m-%dT%H:%M:%SZ}",
        }

    def _object_storage(self, body: bytes) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        code = self.gate.refusal(self.command, f"http://{headers['host']}{self.path}", headers)
        if code is None:
            self._hand_on(headers, body)
            return
        status = 400 if code in ("ExpiredToken", "InvalidToken") else 403
        self._answer(status, f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode())

    def _hand_on(self, headers: dict[str, str], body: bytes) -> None:
        server = self.gate.server
        kept = {name: value for name, value in headers.items() if name in HANDED_ON}
        kept["x-amz-content-sha256"] = "UNSIGNED-PAYLOAD"
        request = AWSRequest(self.command, server.endpoint + self.path, kept)
        S3SigV4Auth(Credentials(server.access_key, server.secret_key), "s3", "us-east-1").add_auth(request)
        connection = http.client.HTTPConnection(urlsplit(server.endpoint).netloc)
        connection.request(self.command, self.path, body, dict(request.headers.items()))
        response = connection.getresponse()
        content = response.read()
        told = {
            name: value for name, value in response.getheaders() if name.lower() not in ("date", "transfer-encoding")
        }
        self._answer(response.status, content, told)
        connection.close()

    def _answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response_only(status)
        told = {
            "Content-Length": str(len(body)),
            **(headers or {}),
            "Date": format_datetime(self.gate.now(), usegmt=True),
        }
        for name, value in told.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002  (the name in http.server)
        """Nothing: the test looks at the gate."""


@contextmanager
def signing_gate(server: S3Server) -> Iterator[SigningGate]:
    """A gate for the length of a `with` block."""
    handler = type("Handler", (_Handler,), {})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as listener:
        listener.daemon_threads = True
        handler.gate = gate = SigningGate(server, listener.server_port)
        thread = threading.Thread(target=listener.serve_forever)
        thread.start()
        try:
            yield gate
        finally:
            listener.shutdown()
            thread.join()
