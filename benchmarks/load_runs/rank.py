"""`python -m benchmarks.load_runs.rank WAY FILE`: one rank loads a base, or only reads its bytes, and tells the cost.

FILE is a RunSpec. Ways: `ours`, `stock` (rank 0 downloads to disk, then `from_pretrained` under ZeRO-3) and `raw` (the
same bytes in ranges through the same store, neither verified nor kept). All begin when the process group is there.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
import torch
import torch.distributed as dist
from benchmarks.load_runs.cost import LoadCost
from transformers import AutoModelForCausalLM
from transformers.integrations.deepspeed import HfDeepSpeedConfig, deepspeed_config

from paft_api.run_spec import RunSpec
from paft_trainer.base.local_base import read_local_base
from paft_trainer.base.open_pieces import open_pieces
from paft_trainer.base.piece_source import PART_BYTES
from paft_trainer.launching.arm_launcher import prepare_base
from paft_trainer.storage import open_store
from paft_trainer.training.base_loading.load import load_model
from paft_trainer.training.rank import arm_run, join_world, quiet_libraries

DTYPE = torch.bfloat16
REQUESTS_AT_ONCE = 8
"""Of a rank that only reads, as of one that loads."""
_RESET_PEAK = "5"
"""Written to clear_refs, see proc_pid_clear_refs(5)."""


def main(way: str, file: Path) -> None:
    """Load once."""
    quiet_libraries()
    run_spec = RunSpec.model_validate_json(file.read_text())
    join_world(arm_run(run_spec))
    configuration = HfDeepSpeedConfig(
        {"train_micro_batch_size_per_gpu": 1, "bf16": {"enabled": True}, "zero_optimization": {"stage": 3}}
    )
    work = {"ours": load_ours, "stock": load_stock, "raw": read_raw}[way]
    cost = measure(lambda: work(run_spec))
    Path(f"{file}.{way}-{dist.get_rank()}").write_text(json.dumps(cost))
    assert deepspeed_config() is configuration.config
    dist.barrier()
    os._exit(0)


def measure(work: Callable[[], Any]) -> LoadCost:
    """Time from all ranks' start to all ranks' end, and memory of this one."""
    dist.barrier()
    Path("/proc/self/clear_refs").write_text(_RESET_PEAK)
    before, started = _status("VmRSS"), time.perf_counter()
    model = work()
    dist.barrier()
    seconds, peak = time.perf_counter() - started, _status("VmHWM")
    parameters = () if model is None else model.parameters()
    partition = sum(parameter.ds_tensor.nbytes for parameter in parameters)
    return LoadCost(seconds=seconds, growth=peak - before, partition=partition)


def load_ours(run_spec: RunSpec) -> Any:
    """What launcher and ranks do, of which the launcher's part falls to the node's first rank here."""
    store = open_store(run_spec.storage)
    folder = Path(run_spec.scratch_directory) / "base"
    if dist.get_rank() == 0:
        prepare_base(run_spec, store)
    dist.barrier()
    base = read_local_base(run_spec.storage.artifacts_uri, folder)
    pieces = open_pieces(store, run_spec, base.pieces)
    return load_model(
        folder,
        pieces,
        base_uri=run_spec.base.uri,
        dtype=DTYPE,
        device=torch.device("cpu"),
        whole_copy=_never,
    )


def load_stock(run_spec: RunSpec) -> Any:
    """boto3's transfer manager as it comes, then transformers."""
    folder = Path(run_spec.scratch_directory) / "download"
    if dist.get_rank() == 0:
        folder.mkdir(parents=True)
        client = boto3.client("s3", endpoint_url=run_spec.storage.endpoint, region_name="us-east-1")
        bucket, _, prefix = run_spec.base.uri.removeprefix("s3://").partition("/")
        for entry in client.list_objects_v2(Bucket=bucket, Prefix=prefix)["Contents"]:
            client.download_file(bucket, entry["Key"], str(folder / entry["Key"].removeprefix(prefix)))
    dist.barrier()
    return AutoModelForCausalLM.from_pretrained(folder, dtype=DTYPE, local_files_only=True)


def read_raw(run_spec: RunSpec) -> None:
    """Every byte of the weights by one of the ranks, in turns."""
    store = open_store(run_spec.storage)
    files = [info for info in store.list(run_spec.base.uri) if info.uri.endswith(".safetensors")]
    ranges = [
        (info.uri, start, min(PART_BYTES, info.size - start))
        for info in files
        for start in range(0, info.size, PART_BYTES)
    ]
    mine = ranges[dist.get_rank() :: dist.get_world_size()]
    with ThreadPoolExecutor(REQUESTS_AT_ONCE) as threads:
        for size in threads.map(lambda one: len(store.read_range(*one)), mine):
            assert size > 0


def _never() -> Path:
    raise AssertionError("this base needs no whole copy")


def _status(name: str) -> int:
    """A line of /proc/self/status, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
