"""`make demo`: one PaftJob end to end on SmolLM2-135M-Instruct, with an S3 server of its own.

Everything lies under .paft/. A second run finds all work done and repeats none of it.
"""

import os
import socket
import subprocess
import sys
import time
import warnings
from pathlib import Path

import boto3
from hack import seaweedfs
from hack.demo_answers import print_answers
from hack.demo_report import print_report

ROOT = Path(__file__).resolve().parent.parent
STATE = ROOT / ".paft"
JOB_FILE = Path("examples/quickstart.yaml")
DATA = ROOT / "examples" / "data"
S3_PORT = 8333
BASE_PREFIX = "smollm2-135m-instruct/"
PROMPT = "A box holds 12 pencils. Tom buys 3 boxes and gives away 7 pencils. How many pencils does he have left?"


def main() -> int:
    """The demo, step by step."""
    started = time.monotonic()
    server = _start_server()
    os.environ.update(server.environment | {"PAFT_HOME": str(STATE)})
    print(f"S3 server: {server.endpoint}")
    for bucket in ("models", "data", "paft"):
        seaweedfs.create_bucket(server, bucket)
    client = boto3.client("s3", endpoint_url=server.endpoint, region_name="us-east-1")
    _upload_base(client)
    _upload_data(client)
    exit_code = _run_job()
    if exit_code != 0:
        return exit_code
    job_directory = STATE / "jobs" / "quickstart"
    print_report(client, job_directory)
    # PEFT 0.21 asks transformers 5.23 for an attribute that has a new name.
    warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated", FutureWarning)
    print_answers(client, STATE / "answers", PROMPT, job_directory)
    print(f"\nAll of it took {time.monotonic() - started:.0f} s. The S3 server goes on running;")
    print("end it with: .venv/bin/python hack/seaweedfs.py stop --directory .paft/s3")
    return 0


def _start_server() -> seaweedfs.S3Server:
    if seaweedfs.find(STATE / "s3") is None and _is_taken(S3_PORT):
        raise SystemExit(f"port {S3_PORT}, which {JOB_FILE} names, is taken by another program; end that first")
    return seaweedfs.start(STATE / "s3", port=S3_PORT)


def _is_taken(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _upload_base(client: "boto3.client") -> None:
    uri = f"s3://models/{BASE_PREFIX}"
    if client.list_objects_v2(Bucket="models", Prefix=f"{BASE_PREFIX}model.safetensors")["KeyCount"]:
        print(f"base: {uri} is there")
        return
    folder = STATE / "base"
    print("base: turning SmolLM2-135M-Instruct into a bf16 checkpoint", flush=True)
    # A process of its own, so that its memory is free again when the arms run.
    quiet = os.environ | {"TQDM_DISABLE": "1", "DS_ACCELERATOR": "cpu"}
    subprocess.run([sys.executable, "-m", "hack.smollm2", str(folder)], cwd=ROOT, check=True, env=quiet)
    # The weights last: they are what the look above asks for.
    for path in sorted(folder.iterdir(), key=lambda path: path.suffix == ".safetensors"):
        client.upload_file(str(path), "models", f"{BASE_PREFIX}{path.name}")
        path.unlink()
    print(f"base: uploaded to {uri}")


def _upload_data(client: "boto3.client") -> None:
    for path in sorted(DATA.glob("*.jsonl")):
        content = path.read_bytes()
        is_there = client.list_objects_v2(Bucket="data", Prefix=path.name)["KeyCount"]
        if is_there and client.get_object(Bucket="data", Key=path.name)["Body"].read() == content:
            continue
        client.put_object(Bucket="data", Key=path.name, Body=content)
        print(f"data: uploaded s3://data/{path.name}")


def _run_job() -> int:
    print(f"$ paft run {JOB_FILE}", flush=True)
    process = subprocess.Popen([sys.executable, "-m", "paft_cli", "run", str(JOB_FILE)], cwd=ROOT)
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:
            # The terminal has interrupted paft as well: it stops the arms, which save.
            continue


if __name__ == "__main__":
    sys.exit(main())
