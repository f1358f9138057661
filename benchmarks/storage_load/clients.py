"""`python -m benchmarks.storage_load.clients CLIENT up|down ENDPOINT URI FILE`: one transfer by one client.

The last line of its output is what the transfer itself cost, from the moment that the client is ready: seconds, CPU
seconds of the process and its children, and the resident memory before it.
"""

import json
import os
import resource
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config

MIB = 1024 * 1024
PART_BYTES = 8 * MIB
AT_ONCE = 8
PROCESSES = 2
REGION = "us-east-1"

Transfer = Callable[[], object]
Client = Callable[[str, str, str, str, Path], Transfer]
"""Makes a client ready; the arguments are direction, endpoint, bucket, key and file."""


def ours(direction: str, endpoint: str, bucket: str, key: str, path: Path) -> Transfer:
    """The trainer's own engine."""
    from paft_trainer.storage.retries import RetryPolicy
    from paft_trainer.storage.s3_connection import S3Connection
    from paft_trainer.storage.s3_store import S3Store
    from paft_trainer.storage.transfers import download, upload

    store, uri = (
        S3Store(S3Connection(endpoint=endpoint), retries=RetryPolicy(window_seconds=60)),
        f"s3://{bucket}/{key}",
    )
    store.head(uri)
    return (lambda: upload(store, path, uri)) if direction == "up" else (lambda: download(store, uri, path))


def s3transfer(direction: str, endpoint: str, bucket: str, key: str, path: Path) -> Transfer:
    """boto3's transfer manager with its parts and threads set to ours."""
    client = _boto_client(endpoint)
    tuned = TransferConfig(
        multipart_threshold=PART_BYTES,
        multipart_chunksize=PART_BYTES,
        max_concurrency=AT_ONCE,
        io_chunksize=MIB,
        preferred_transfer_client="classic",
    )
    if direction == "up":
        return lambda: client.upload_file(str(path), bucket, key, Config=tuned)
    return lambda: client.download_file(bucket, key, str(path), Config=tuned)


def crt(direction: str, endpoint: str, bucket: str, key: str, path: Path) -> Transfer:
    """s3transfer over the AWS Common Runtime, which is boto3's extra `crt`."""
    import botocore.session
    from s3transfer.crt import (
        BotocoreCRTCredentialsWrapper,
        BotocoreCRTRequestSerializer,
        CRTTransferManager,
        create_s3_crt_client,
    )

    session = botocore.session.get_session()
    provider = BotocoreCRTCredentialsWrapper(session.get_credentials()).to_crt_credentials_provider()
    crt_client = create_s3_crt_client(region=REGION, crt_credentials_provider=provider, use_ssl=False)
    serializer = BotocoreCRTRequestSerializer(session, {"region_name": REGION, "endpoint_url": endpoint})
    manager = CRTTransferManager(crt_client, serializer)
    if direction == "up":
        return lambda: manager.upload(str(path), bucket, key).result()
    return lambda: manager.download(bucket, key, str(path)).result()


def obstore(direction: str, endpoint: str, bucket: str, key: str, path: Path) -> Transfer:
    """The object_store crate, with boto3's credentials."""
    import obstore as rust
    from obstore.auth.boto3 import Boto3CredentialProvider
    from obstore.store import S3Store

    store = S3Store(
        bucket,
        endpoint=endpoint,
        region=REGION,
        credential_provider=Boto3CredentialProvider(),
        client_options={"allow_http": True},
        virtual_hosted_style_request=False,
    )
    if direction == "up":
        return lambda: rust.put(store, key, path, chunk_size=PART_BYTES, max_concurrency=AT_ONCE)
    size = rust.head(store, key)["size"]
    return lambda: _download(path, size, lambda start, length: rust.get_range(store, key, start=start, length=length))


def processes(direction: str, endpoint: str, bucket: str, key: str, path: Path) -> Transfer:
    """boto3 in as many processes as there are cores, each with every n-th part."""
    context = get_context("fork")

    def run(part: Callable[..., None], *arguments: object) -> None:
        shares = [context.Process(target=part, args=(number, *arguments)) for number in range(PROCESSES)]
        for share in shares:
            share.start()
        for share in shares:
            share.join()
            assert share.exitcode == 0

    if direction == "down":
        size = _boto_client(endpoint).head_object(Bucket=bucket, Key=key)["ContentLength"]
        return lambda: run(_download_share, endpoint, bucket, key, path, size)

    def upload() -> None:
        client = _boto_client(endpoint)
        upload_id = client.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
        run(_upload_share, endpoint, bucket, key, path, upload_id)
        listed = client.get_paginator("list_parts").paginate(Bucket=bucket, Key=key, UploadId=upload_id)
        parts = [{name: part[name] for name in ("PartNumber", "ETag")} for page in listed for part in page["Parts"]]
        client.complete_multipart_upload(Bucket=bucket, Key=key, UploadId=upload_id, MultipartUpload={"Parts": parts})

    return upload


CLIENTS: dict[str, Client] = {
    "ours": ours,
    "s3transfer": s3transfer,
    "crt": crt,
    "obstore": obstore,
    "processes": processes,
}


def _upload_share(number: int, endpoint: str, bucket: str, key: str, path: Path, upload_id: str) -> None:
    client, parts = _boto_client(endpoint), range(0, path.stat().st_size, PART_BYTES)

    def send(index: int) -> None:
        with path.open("rb") as file:
            file.seek(parts[index])
            body = file.read(PART_BYTES)
        client.upload_part(Bucket=bucket, Key=key, UploadId=upload_id, PartNumber=index + 1, Body=body)

    with ThreadPoolExecutor(AT_ONCE // PROCESSES) as threads:
        list(threads.map(send, range(number, len(parts), PROCESSES)))


def _download_share(number: int, endpoint: str, bucket: str, key: str, path: Path, size: int) -> None:
    client = _boto_client(endpoint)

    def get(start: int, length: int) -> bytes:
        wanted = f"bytes={start}-{start + length - 1}"
        body: bytes = client.get_object(Bucket=bucket, Key=key, Range=wanted)["Body"].read()
        return body

    _download(path, size, get, first=number, step=PROCESSES, at_once=AT_ONCE // PROCESSES)


def _download(
    path: Path,
    size: int,
    get: Callable[[int, int], Any],
    *,
    first: int = 0,
    step: int = 1,
    at_once: int = AT_ONCE,
) -> None:
    """Every `step`-th range from the `first` on, into its place in the file."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)

    def fetch(start: int) -> None:
        os.pwrite(descriptor, get(start, min(PART_BYTES, size - start)), start)

    try:
        with ThreadPoolExecutor(at_once) as threads:
            list(threads.map(fetch, range(first * PART_BYTES, size, step * PART_BYTES)))
    finally:
        os.close(descriptor)


def _boto_client(endpoint: str) -> Any:
    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name=REGION,
        config=Config(
            max_pool_connections=AT_ONCE,
            s3={"addressing_style": "path"},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    )


def _cpu_seconds() -> float:
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


def main(name: str, direction: str, endpoint: str, uri: str, path: Path) -> None:
    """Transfer once and print what it cost."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    transfer = CLIENTS[name](direction, endpoint, bucket, key, path)
    resident, cpu, started = _resident_bytes(), _cpu_seconds(), time.perf_counter()
    transfer()
    seconds = time.perf_counter() - started
    print(json.dumps({"seconds": seconds, "cpu_seconds": _cpu_seconds() - cpu, "resident_bytes": resident}))


if __name__ == "__main__":
    main(*sys.argv[1:5], Path(sys.argv[5]))
