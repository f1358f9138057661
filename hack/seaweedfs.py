"""A real S3 server (SeaweedFS), for the demo and the tests; on loopback where no other address is asked for.

    python hack/seaweedfs.py start --directory .paft/s3 --port 8333    start, wait until it answers, print its endpoint
    python hack/seaweedfs.py stop --directory .paft/s3                 end the one started there

Credentials are made once and kept in `<directory>/credentials.json`, readable by the owner only.
"""

import argparse
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import boto3

LOOPBACK = "127.0.0.1"
READY_SECONDS = 60.0
GRPC_OFFSET = 10_000
"""SeaweedFS serves gRPC at each port plus this."""

_children: dict[int, subprocess.Popen[bytes]] = {}
"""Servers that this process started and has to reap."""


@dataclass(frozen=True, kw_only=True, slots=True)
class S3Server:
    """A running server. `pid` is the process that was started. `users`: access and secret keys of those who may do
    less, by name."""

    endpoint: str
    access_key: str
    secret_key: str
    pid: int
    users: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        """Credentials as every S3 client reads them."""
        return {"AWS_ACCESS_KEY_ID": self.access_key, "AWS_SECRET_ACCESS_KEY": self.secret_key}


def start(
    directory: Path,
    *,
    port: int | None = None,
    address: str = LOOPBACK,
    metrics_port: int | None = None,
    users: Mapping[str, Sequence[str]] | None = None,
) -> S3Server:
    """Start a server, or find the one that runs in `directory`. `port`: of S3; default: any free one. `metrics_port`:
    where it tells Prometheus what it did; default: nowhere. `users`: others than its administrator, and what they may
    do, as `Read:<bucket>`."""
    running = find(directory)
    if running is not None:
        return running
    data = directory / "data"
    data.mkdir(parents=True, exist_ok=True)
    (directory / "logs").mkdir(exist_ok=True)
    access_key, secret_key = _credentials(directory)
    s3_port = port if port is not None else _free_port()
    keys = {name: (secrets.token_hex(10), secrets.token_hex(20)) for name in users or {}}
    identities = [
        _identity("paft", access_key, secret_key, ["Admin", "Read", "Write", "List", "Tagging"]),
        *(_identity(name, *keys[name], actions) for name, actions in (users or {}).items()),
    ]
    _write_private(directory / "s3.json", json.dumps({"identities": identities}))
    with (directory / "server.log").open("ab") as log:
        process = subprocess.Popen(
            _command(directory, data, s3_port, address, metrics_port),
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
    _children[process.pid] = process
    server = S3Server(
        endpoint=f"http://{address}:{s3_port}",
        access_key=access_key,
        secret_key=secret_key,
        pid=process.pid,
        users=keys,
    )
    _wait_until_ready(server, process, directory / "server.log")
    _write_private(directory / "server.json", json.dumps(asdict(server)))
    return server


def find(directory: Path) -> S3Server | None:
    """The server that was started in `directory` and still answers."""
    record = directory / "server.json"
    if not record.is_file():
        return None
    server = S3Server(**json.loads(record.read_text()))
    return server if _is_ours(server.pid) and _answers(server.endpoint) else None


def stop(directory: Path, *, grace_seconds: float = 3) -> bool:
    """End the server that was started in `directory`; False where there is none. `grace_seconds`: before SIGKILL."""
    record = directory / "server.json"
    if not record.is_file():
        return False
    pid = S3Server(**json.loads(record.read_text())).pid
    record.unlink()
    if not _is_ours(pid):
        return False
    os.kill(pid, signal.SIGTERM)
    if not _has_ended(pid, within_seconds=grace_seconds):
        os.kill(pid, signal.SIGKILL)
        _has_ended(pid, within_seconds=10)
    return True


@contextmanager
def running(
    directory: Path,
    *,
    port: int | None = None,
    address: str = LOOPBACK,
    metrics_port: int | None = None,
    users: Mapping[str, Sequence[str]] | None = None,
) -> Iterator[S3Server]:
    """A server for the length of a `with` block; see `start`."""
    server = start(directory, port=port, address=address, metrics_port=metrics_port, users=users)
    try:
        yield server
    finally:
        stop(directory, grace_seconds=0)


@contextmanager
def s3_client(server: S3Server) -> "Iterator[boto3.client]":
    """A client of a server."""
    client = boto3.client(
        "s3",
        endpoint_url=server.endpoint,
        region_name="us-east-1",
        aws_access_key_id=server.access_key,
        aws_secret_access_key=server.secret_key,
    )
    try:
        yield client
    finally:
        client.close()


def create_bucket(server: S3Server, name: str) -> None:
    """Make a bucket; no error where it is there."""
    with s3_client(server) as client:
        try:
            client.create_bucket(Bucket=name)
        except (client.exceptions.BucketAlreadyOwnedByYou, client.exceptions.BucketAlreadyExists):
            return


def _identity(name: str, access_key: str, secret_key: str, actions: Sequence[str]) -> dict[str, object]:
    credentials = [{"accessKey": access_key, "secretKey": secret_key}]
    return {"name": name, "credentials": credentials, "actions": list(actions)}


def _command(directory: Path, data: Path, s3_port: int, address: str, metrics_port: int | None) -> list[str]:
    weed = Path(sys.executable).parent / "weed"
    ports = {name: _free_port() for name in ("master", "volume", "filer")}
    return [
        str(weed),
        f"-logdir={directory / 'logs'}",
        "server",
        f"-dir={data}",
        f"-ip={address}",
        f"-ip.bind={address}",
        "-master.telemetry=false",
        "-s3",
        f"-s3.port={s3_port}",
        f"-s3.config={directory / 's3.json'}",
        f"-master.port={ports['master']}",
        f"-volume.port={ports['volume']}",
        f"-filer.port={ports['filer']}",
        # Services nobody here uses would take fixed ports, so that a second server could not start.
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        "-volume.max=100",
        "-master.volumeSizeLimitMB=512",
        *([] if metrics_port is None else [f"-metricsPort={metrics_port}"]),
    ]


def _credentials(directory: Path) -> tuple[str, str]:
    path = directory / "credentials.json"
    if not path.is_file():
        _write_private(path, json.dumps({"access": secrets.token_hex(10), "secret": secrets.token_hex(20)}))
    stored = json.loads(path.read_text())
    return stored["access"], stored["secret"]


def _write_private(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)


def _free_port() -> int:
    while True:
        with socket.socket() as probe, socket.socket() as grpc_probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
            if port + GRPC_OFFSET > 65535:
                continue
            try:
                grpc_probe.bind(("127.0.0.1", port + GRPC_OFFSET))
            except OSError:
                continue
            return port


def _wait_until_ready(server: S3Server, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"SeaweedFS ended with exit code {process.returncode}; its log is {log}")
        if _answers(server.endpoint):
            return
        time.sleep(0.1)
    process.kill()
    process.wait()
    raise RuntimeError(f"SeaweedFS did not answer at {server.endpoint} within {READY_SECONDS:.0f} s; its log is {log}")


def _answers(endpoint: str) -> bool:
    try:
        urllib.request.urlopen(endpoint, timeout=2).close()
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


def _is_ours(pid: int) -> bool:
    try:
        return b"weed" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def _has_ended(pid: int, *, within_seconds: float) -> bool:
    if pid in _children:
        try:
            _children[pid].wait(timeout=within_seconds)
        except subprocess.TimeoutExpired:
            return False
        del _children[pid]
        return True
    deadline = time.monotonic() + within_seconds
    while time.monotonic() < deadline:
        if not _is_ours(pid):
            return True
        time.sleep(0.05)
    return False


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=["start", "stop"])
    parser.add_argument("--directory", type=Path, required=True)
    parser.add_argument("--port", type=int)
    arguments = parser.parse_args()
    if arguments.action == "start":
        print(start(arguments.directory, port=arguments.port).endpoint)
    elif not stop(arguments.directory):
        print("no server runs there")


if __name__ == "__main__":
    main()
