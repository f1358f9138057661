"""Runs a client, checks what it transferred, and tells what that cost."""

import hashlib
import json
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.merge_load.measured_run import python_module, run_measured
from benchmarks.processes import MeasuringFailed
from hack import seaweedfs

from paft_trainer.storage.transfers import CHUNK_BYTES

S5CMD = "s5cmd"
KEY = "object"


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One transfer. `grown_bytes`: the peak over what was resident before it; of s5cmd, the peak."""

    seconds: float
    cpu_seconds: float
    grown_bytes: int


@dataclass(frozen=True, kw_only=True)
class Row:
    """Medians of a client's transfers in one direction; the peak of all of them."""

    client: str
    direction: str
    size: int
    samples: tuple[Sample, ...]

    @property
    def seconds(self) -> float:
        """Median."""
        return statistics.median(sample.seconds for sample in self.samples)

    @property
    def megabytes_per_second(self) -> float:
        """Decimal."""
        return self.size / 1e6 / self.seconds

    @property
    def cpu_seconds_per_gigabyte(self) -> float:
        """Of the client and its children, decimal gigabytes."""
        return statistics.median(sample.cpu_seconds for sample in self.samples) / (self.size / 1e9)

    @property
    def grown_bytes(self) -> int:
        """At most."""
        return max(sample.grown_bytes for sample in self.samples)


class Bench:
    """A server, a file of random bytes, and a folder for what is downloaded."""

    def __init__(self, server: seaweedfs.S3Server, source: Path, folder: Path) -> None:
        self._server = server
        self._source = source
        self._folder = folder
        self._digest = _digest_of_file(source)
        self._buckets = 0

    def upload(self, client: str) -> Sample:
        """Into a bucket of its own, whose end frees its bytes."""
        bucket = f"up-{self._buckets}"
        self._buckets += 1
        seaweedfs.create_bucket(self._server, bucket)
        uri = f"s3://{bucket}/{KEY}"
        try:
            sample = self._run(client, "up", uri, self._source)
            self._require(_digest_of_object(self._server, uri), client, "up")
        finally:
            with seaweedfs.s3_client(self._server) as s3:
                s3.delete_object(Bucket=bucket, Key=KEY)
                s3.delete_bucket(Bucket=bucket)
        return sample

    def download(self, client: str, uri: str) -> Sample:
        """Into a file that is removed again."""
        target = self._folder / "downloaded"
        try:
            sample = self._run(client, "down", uri, target)
            self._require(_digest_of_file(target), client, "down")
        finally:
            target.unlink(missing_ok=True)
        return sample

    def put_source(self) -> str:
        """The object that is downloaded; its URI."""
        seaweedfs.create_bucket(self._server, "source")
        with seaweedfs.s3_client(self._server) as s3:
            s3.upload_file(str(self._source), "source", KEY)
        return f"s3://source/{KEY}"

    def _run(self, client: str, direction: str, uri: str, path: Path) -> Sample:
        log = self._folder / "log.txt"
        if client == S5CMD:
            arguments = [str(path), uri] if direction == "up" else [uri, str(path)]
            command = [_s5cmd(), "--endpoint-url", self._server.endpoint, "--log", "error", "cp", *arguments]
            cost = run_measured(command, log, self._server.environment)
            return Sample(seconds=cost.wall_seconds, cpu_seconds=cost.cpu_seconds, grown_bytes=cost.peak_bytes)
        command = python_module(
            "benchmarks.storage_load.clients", client, direction, self._server.endpoint, uri, str(path)
        )
        cost = run_measured(command, log, self._server.environment)
        told = json.loads(log.read_text().splitlines()[-1])
        return Sample(
            seconds=told["seconds"],
            cpu_seconds=told["cpu_seconds"],
            grown_bytes=max(0, cost.peak_bytes - told["resident_bytes"]),
        )

    def _require(self, digest: str, client: str, direction: str) -> None:
        if digest != self._digest:
            raise MeasuringFailed(f"{client}, {direction}: other bytes arrived than were sent")


def measure(bench: Bench, clients: Sequence[str], size: int, runs: int) -> list[Row]:
    """All clients in turn, each time in another order, so that a machine that changes its pace changes it for all."""
    samples: dict[tuple[str, str], list[Sample]] = {}
    uri = bench.put_source()
    for run in range(runs):
        in_turn = [*clients[run % len(clients) :], *clients[: run % len(clients)]]
        for client in in_turn:
            samples.setdefault((client, "up"), []).append(bench.upload(client))
        for client in in_turn:
            samples.setdefault((client, "down"), []).append(bench.download(client, uri))
    return [
        Row(client=client, direction=direction, size=size, samples=tuple(found))
        for (client, direction), found in samples.items()
    ]


def _s5cmd() -> str:
    return str(Path(sys.executable).parent / S5CMD)


def _digest_of_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _digest_of_object(server: seaweedfs.S3Server, uri: str) -> str:
    with seaweedfs.s3_client(server) as s3:
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        digest = hashlib.sha256()
        for chunk in s3.get_object(Bucket=bucket, Key=key)["Body"].iter_chunks(CHUNK_BYTES):
            digest.update(chunk)
        return digest.hexdigest()
