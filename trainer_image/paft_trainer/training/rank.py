"""The entry point of one rank of an arm: set up, train, report; leave a record behind when it fails."""

import contextlib
import faulthandler
import os
import sys
import traceback
import warnings
from datetime import timedelta
from pathlib import Path

import datasets
import deepspeed
import torch
import torch.distributed as dist
import transformers
from deepspeed.constants import default_pg_timeout

from paft_api.causes import CAUSE_FACTS, EXIT_SUCCEEDED
from paft_api.report import StageReport
from paft_api.run_spec import PreferenceRun, RunSpec, SftRun
from paft_trainer.compilations import torch_told
from paft_trainer.failures import classify
from paft_trainer.launching.failure_records import record_return, write_failure_record
from paft_trainer.launching.hang_watch import DUMP_SIGNAL, stacks_file
from paft_trainer.launching.heartbeats import Heartbeat
from paft_trainer.reporting import FileReportSink, Reporter
from paft_trainer.stage_store import open_stage_store
from paft_trainer.training.arm import train_arm
from paft_trainer.training.arm_session import ArmSession
from paft_trainer.training.stop_signal import StopSignal


def run_rank(run_spec_json: str, base_folder: str) -> None:
    """Run this rank to its end. Ranks are told who they are by torchrun's environment; without it there is one."""
    quiet_libraries()
    run_spec = RunSpec.model_validate_json(run_spec_json)
    stop_signal = StopSignal()
    stop_signal.install()
    rank = int(os.environ.get("RANK", "0"))
    # One rank of each node tells its launcher how things stand.
    tells = os.environ.get("LOCAL_RANK", "0") == "0"
    _write_stacks_when_asked(Path(run_spec.scratch_directory), rank)
    reporter = Reporter(
        run_spec.identity,
        FileReportSink(Path(run_spec.report_path)) if tells else None,
        reached_step=run_spec.reached_step,
    )
    _take_over_from_launcher(reporter, Path(run_spec.report_path))
    try:
        with torch_told(reporter):
            _train(run_spec, Path(base_folder), reporter, stop_signal)
    except Exception as error:  # noqa: BLE001 - every failure must end in a cause
        traceback.print_exc()
        failure = classify(error, rank=rank)
        # The exit code tells the cause too, where the disk is full.
        with contextlib.suppress(OSError):
            write_failure_record(Path(run_spec.scratch_directory), failure)
        sys.stdout.flush()
        sys.stderr.flush()
        # Past atexit handlers: collectives that other ranks will never join would hang there.
        os._exit(CAUSE_FACTS[failure.cause].exit_code)
    # It matters only where another rank fails yet; a disk that is full fails nobody who is done.
    with contextlib.suppress(OSError):
        record_return(Path(run_spec.scratch_directory), rank)
    if stop_signal.end():
        # The elastic agent that sent the signal no longer reads results, for which its wrapper would wait here.
        os._exit(EXIT_SUCCEEDED)


def _take_over_from_launcher(reporter: Reporter, path: Path) -> None:
    """What it has told and spent; one process alone may have no launcher."""
    if path.exists():
        reporter.take_over(StageReport.model_validate_json(path.read_text(encoding="utf-8")))


def _write_stacks_when_asked(scratch: Path, rank: int) -> None:
    # Not closed: a signal may arrive until the process ends.
    file = stacks_file(scratch, rank).open("w")
    faulthandler.register(DUMP_SIGNAL, file=file, all_threads=True)


def _train(run_spec: RunSpec, base_folder: Path, reporter: Reporter, stop_signal: StopSignal) -> None:
    partitioned = join_world(arm_run(run_spec), retry_window=run_spec.storage.retry_window)
    train_in_world(run_spec, base_folder, reporter, stop_signal, partitioned=partitioned)
    if partitioned:
        dist.barrier()
        dist.destroy_process_group()


def quiet_libraries() -> None:
    """Keep deprecations inside pinned libraries and their progress bars out of the log."""
    warnings.filterwarnings("ignore", category=FutureWarning, module="transformers|torch|accelerate|peft")
    transformers.utils.logging.disable_progress_bar()
    datasets.disable_progress_bars()


def arm_run(run_spec: RunSpec) -> SftRun | PreferenceRun:
    """The arm that this attempt trains."""
    run = run_spec.sft if run_spec.sft is not None else run_spec.preference
    assert run is not None
    return run


def train_in_world(
    run_spec: RunSpec, base_folder: Path, reporter: Reporter, stop_signal: StopSignal, *, partitioned: bool
) -> None:
    """Train as a member of a world that was joined, and report how it ended. Raises StageError."""
    run = arm_run(run_spec)
    scratch, rank = Path(run_spec.scratch_directory), int(os.environ.get("RANK", "0"))
    session = ArmSession(
        run_spec=run_spec,
        arm=run.spec,
        world=run.world,
        store=open_stage_store(run_spec, reporter),
        reporter=reporter,
        stop_signal=stop_signal,
        heartbeat=Heartbeat(scratch, rank, allowance=run_spec.storage.retry_window),
    )
    result = train_arm(session, base_folder, partitioned=partitioned)
    if session.stopped:
        reporter.stopped()
    elif result is not None:
        reporter.succeeded(result)


def join_world(run: SftRun | PreferenceRun, *, retry_window: int = 0) -> bool:
    """Set up threads and the process group; False where this is one process without a launcher.

    `retry_window`: seconds for which one rank may wait for the object store while the others wait for it.
    """
    if run.world.threads_per_process is not None:
        torch.set_num_threads(run.world.threads_per_process)
    if "RANK" not in os.environ:
        return False
    # DeepSpeed compiles this operator at start-up, which needs a compiler and a minute; gloo does its work.
    deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
    if run.world.device == "cuda":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    deepspeed.init_distributed(
        "nccl" if run.world.device == "cuda" else "gloo",
        timeout=default_pg_timeout + timedelta(seconds=retry_window),
    )
    return True
