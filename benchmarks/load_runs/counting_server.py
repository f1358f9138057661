"""A real S3 server that counts what it sends, by bucket; nothing of ours takes part in that."""

import re
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hack import seaweedfs
from tests.ranks import free_port

_SENT = re.compile(r'^SeaweedFS_s3_bucket_traffic_sent_bytes_total\{bucket="([^"]+)"\} (\S+)$', re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class CountingServer:
    """SeaweedFS. `metrics`: where it tells Prometheus what it did. `folder`: of all its files."""

    server: seaweedfs.S3Server
    metrics: str
    folder: Path

    def sent_bytes(self) -> dict[str, int]:
        """Bodies of all answers since it was started, by bucket."""
        with urllib.request.urlopen(self.metrics) as answer:
            told = answer.read().decode()
        return {bucket: int(float(count)) for bucket, count in _SENT.findall(told)}

    def upload(self, folder: Path, bucket: str) -> str:
        """All files of a folder into a new bucket; the address of them all."""
        with seaweedfs.s3_client(self.server) as client:
            client.create_bucket(Bucket=bucket)
            for path in sorted(folder.iterdir()):
                client.upload_file(str(path), bucket, f"base/{path.name}")
        return f"s3://{bucket}/base/"


@contextmanager
def counting_server(folder: Path) -> Iterator[CountingServer]:
    """A server for the length of a `with` block."""
    port = free_port()
    with seaweedfs.running(folder, metrics_port=port) as server:
        yield CountingServer(server=server, metrics=f"http://{seaweedfs.LOOPBACK}:{port}/metrics", folder=folder)
