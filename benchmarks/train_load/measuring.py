"""Runs the measured programs, each in fresh processes, and the way from a start to the first step."""

import os
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.processes import ROOT, MeasuringFailed
from benchmarks.train_load.programs import Program
from benchmarks.train_load.settings import TrainSetting
from benchmarks.train_load.timeline import Timeline

from paft_api.stages import StageName

_ENVIRONMENT = {
    "DS_ACCELERATOR": "cpu",
    "CUDA_VISIBLE_DEVICES": "",
    "HF_HUB_OFFLINE": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "GLOO_SOCKET_IFNAME": "lo",
}


@dataclass(frozen=True, kw_only=True)
class Start:
    """The way from starting a launcher to the end of the first step, in seconds.

    `imports`: until the ranks begin, the launcher's own imports and its look at the base and the store among them.
    `load`: model, data, engine. `first_step`: its own time, as a later step takes it.
    """

    imports: float
    load: float
    first_step: float


def measure_training(
    program: Program, setting: TrainSetting, stage: StageName, folder: Path, *, ranks: int
) -> Timeline:
    """Train once. Raises MeasuringFailed."""
    folder.mkdir(parents=True)
    file = folder / "run-spec.json"
    file.write_text(setting.run_spec(stage, folder / "artifacts", ranks=ranks).to_json(), encoding="utf-8")
    port = _free_port()
    processes = [_start_rank(program, file, folder, rank, ranks, port) for rank in range(ranks)]
    codes = [process.wait() for process in processes]
    if any(codes):
        ending = "".join((folder / "rank-0.log").read_text(errors="replace").splitlines(keepends=True)[-30:])
        raise MeasuringFailed(f"{program}, {stage}, {ranks} ranks ended with {codes}:\n{ending}")
    return Timeline.model_validate_json((folder / "timeline-0.json").read_text(encoding="utf-8"))


def measure_start(setting: TrainSetting, folder: Path, *, ranks: int) -> Start:
    """Start the SFT arm through its launcher, as a pod or `paft run` does. Raises MeasuringFailed."""
    folder.mkdir(parents=True)
    run_spec = setting.run_spec(StageName.SFT, folder / "artifacts", ranks=ranks)
    file, report = folder / "run-spec.json", Path(run_spec.report_path)
    file.write_text(run_spec.to_json(), encoding="utf-8")
    started = time.time()
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "paft_trainer", "sft", "--run-spec", str(file)],
        cwd=ROOT,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    ranks_began = _wait_for_ranks(report, process)
    steps: list[float] = []
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("{'loss'"):
            steps.append(time.time())
    if process.wait() != 0 or len(steps) < 3:
        raise MeasuringFailed(f"{folder}: the launcher ended with {process.returncode} after {len(steps)} steps")
    step = (steps[-1] - steps[0]) / (len(steps) - 1)
    return Start(imports=ranks_began - started, load=steps[0] - ranks_began - step, first_step=step)


def _wait_for_ranks(report: Path, process: "subprocess.Popen[str]") -> float:
    """When rank 0 writes its first report, which is the second: the launcher wrote one before."""
    seen: set[int] = set()
    while process.poll() is None:
        if report.exists():
            status = report.stat()
            seen.add(status.st_mtime_ns)
            if len(seen) == 2:
                return status.st_mtime
        time.sleep(0.005)
    raise MeasuringFailed(f"the launcher ended with {process.returncode} before its ranks began")


def _start_rank(
    program: Program, file: Path, folder: Path, rank: int, ranks: int, port: int
) -> "subprocess.Popen[bytes]":
    environment = os.environ | _ENVIRONMENT | {"OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // ranks))}
    if ranks > 1:
        world = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": ranks, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        environment |= {name: str(value) for name, value in world.items()}
    timeline = folder / f"timeline-{rank}.json"
    command = ["-m", "benchmarks.train_load.rank", program.value, str(file), str(timeline), str(time.time())]
    with (folder / f"rank-{rank}.log").open("wb") as log:
        return subprocess.Popen([sys.executable, *command], cwd=ROOT, env=environment, stdout=log, stderr=log)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
