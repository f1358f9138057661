"""Loads and whole arms, each in fresh processes, with what they cost."""

import json
import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.load_runs.bases import Base
from benchmarks.load_runs.cost import LoadCost
from benchmarks.load_runs.counting_server import CountingServer
from benchmarks.load_runs.run_specs import RANKS, THREADS, arm_run_spec, storage_of
from benchmarks.merge_load.places import read_all
from benchmarks.processes import ROOT, MeasuringFailed
from hack.control_plane.processes import dying_with_this_process
from tests.ranks import free_port

from paft_api.run_spec import RunSpec
from paft_api.stages import StageName

WAYS = ("ours", "stock", "raw")
LARGE_BYTES = 10**9
"""Weights of which both arms at once would take more than 20 GB of memory."""


@dataclass(frozen=True, kw_only=True)
class Loading:
    """One loading on all ranks. Bytes: `sent` by the server from the base's bucket, `sent_beside` from others; `kept`,
    weights on this machine's disk afterwards."""

    costs: tuple[LoadCost, ...]
    sent: int
    sent_beside: int
    kept: int

    @property
    def seconds(self) -> float:
        """Until the last rank was done."""
        return max(cost["seconds"] for cost in self.costs)

    @property
    def growth_over_partition(self) -> int:
        """Bytes; of the rank with most."""
        return max(cost["growth"] - cost["partition"] for cost in self.costs)


@dataclass(frozen=True, kw_only=True)
class Arms:
    """Whole arms at the same time. Bytes as in Loading; `kept` outside the node's cache."""

    sent: int
    sent_beside: int
    kept: int


def measure_loading(way: str, base: Base, server: CountingServer, folder: Path) -> Loading:
    """Once, with what the server sends in its page cache. Raises MeasuringFailed."""
    with _new_folder(folder) as attempt:
        run_spec = arm_run_spec(StageName.SFT, base, storage_of(server), attempt / "arm")
        file = attempt / "run-spec.json"
        file.write_text(run_spec.to_json(), encoding="utf-8")
        read_all(server.folder / "data")
        before, port = server.sent_bytes(), free_port()
        command = [sys.executable, "-P", "-m", "benchmarks.load_runs.rank", way, str(file)]
        ranks = [_start(command, attempt, server, _world(rank, port)) for rank in range(RANKS)]
        _wait(ranks, attempt)
        costs = tuple(json.loads(Path(f"{file}.{way}-{rank}").read_text()) for rank in range(RANKS))
        sent, beside = _sent(before, server.sent_bytes(), base)
        return Loading(costs=costs, sent=sent, sent_beside=beside, kept=_kept_weights(attempt))


def measure_arms(stages: tuple[StageName, ...], base: Base, server: CountingServer, folder: Path) -> Arms:
    """All at once on one node, or in turn where memory might not do; more than one share a node's cache. Raises
    MeasuringFailed."""
    with _new_folder(folder) as attempt:
        storage, cache = storage_of(server), attempt / "cache" if len(stages) > 1 else None
        run_specs = [arm_run_spec(stage, base, storage, attempt / stage, cache) for stage in stages]
        before = server.sent_bytes()
        commands = [_launch(run_spec, attempt / run_spec.identity.stage) for run_spec in run_specs]
        for together in [[one] for one in commands] if base.weights > LARGE_BYTES else [commands]:
            _wait([_start(command, attempt, server, {}) for command in together], attempt)
        sent, beside = _sent(before, server.sent_bytes(), base)
        return Arms(sent=sent, sent_beside=beside, kept=sum(_kept_weights(attempt / stage) for stage in stages))


def _launch(run_spec: RunSpec, folder: Path) -> list[str]:
    file = folder / "run-spec.json"
    file.write_text(run_spec.to_json(), encoding="utf-8")
    return [sys.executable, "-P", "-m", "paft_trainer", run_spec.identity.stage, "--run-spec", str(file)]


def _world(rank: int, port: int) -> dict[str, str]:
    return {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(RANKS),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "DS_ACCELERATOR": "cpu",
        "CUDA_VISIBLE_DEVICES": "",
        "GLOO_SOCKET_IFNAME": "lo",
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": str(THREADS),
    }


def _start(
    command: list[str], folder: Path, server: CountingServer, environment: Mapping[str, str]
) -> "subprocess.Popen[bytes]":
    packages = os.pathsep.join(str(ROOT / part) for part in ("", "crds", "operator", "trainer_image"))
    with (folder / "log.txt").open("ab") as log:
        return subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": packages, **server.server.environment, **environment},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            preexec_fn=dying_with_this_process(),
        )


def _wait(processes: "list[subprocess.Popen[bytes]]", folder: Path) -> None:
    codes = [process.wait() for process in processes]
    if any(codes):
        ending = "".join((folder / "log.txt").read_text(errors="replace").splitlines(keepends=True)[-30:])
        raise MeasuringFailed(f"processes ended with {codes}:\n{ending}")


def _sent(before: Mapping[str, int], after: Mapping[str, int], base: Base) -> tuple[int, int]:
    counts = {bucket: count - before.get(bucket, 0) for bucket, count in after.items()}
    return counts.pop(base.bucket, 0), sum(counts.values())


def _kept_weights(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*.safetensors"))


@contextmanager
def _new_folder(folder: Path) -> Iterator[Path]:
    attempt = folder / f"attempt-{uuid.uuid4().hex}"
    attempt.mkdir()
    yield attempt
    shutil.rmtree(attempt)
