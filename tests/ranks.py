"""Runs training cases on real ranks, several in one launch: starting Python and joining a world is most of the cost."""

import json
import multiprocessing
import os
import socket
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

from paft_api.report import Activity, Progress, ReportState, StageReport
from paft_api.run_spec import RunSpec
from paft_trainer.launching.arm_launcher import prepare_base
from paft_trainer.launching.rank_forkserver import RANK_MODULE
from paft_trainer.storage import open_store


@dataclass(frozen=True, kw_only=True)
class Case:
    """One training. `stop_at`: step after which rank 0 is asked to stop; 0: while DPO's reference is computed."""

    run_spec: RunSpec
    stop_at: int | None = None


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What rank 0 reported: every step, and the end. `failure`: cause and message of the error that ended it.

    `forwards`: times that rank 0 ran the base's layers forward, recomputation in backward passes left out.
    """

    reports: list[StageReport]
    failure: tuple[str, str] | None = None
    losses: list[float] = field(default_factory=list)
    forwards: int = 0

    @property
    def last(self) -> StageReport:
        return self.reports[-1]


def run_cases(cases: Sequence[Case], *, ranks: int, directory: Path) -> list[Outcome]:
    """Run all cases one after the other in one world; with `ranks` 1 in one process without a launcher."""
    payload = []
    for case in cases:
        base = prepare_base(case.run_spec, open_store(case.run_spec.storage))
        payload.append((case.run_spec.to_json(), str(base), case.stop_at))
    run_on_ranks(_run_arms, payload, ranks=ranks, directory=directory, launched=ranks > 1)
    return [outcome_of(entry) for entry in json.loads((directory / "outcomes.json").read_text())]


def run_on_ranks(
    work: Callable[[Any, Path], None], payload: Any, *, ranks: int, directory: Path, launched: bool = True
) -> None:
    """Call `work(payload, directory)` in so many warm processes, which know their ranks as torchrun tells them.

    `work`: importable by its name. Without `launched` there is one process, which is told nothing. What it raises is
    shown.
    """
    context, port = warm_context(), free_port()
    processes = [
        context.Process(target=_rank, args=(work, payload, str(directory), rank, ranks, port if launched else None))
        for rank in range(ranks)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(timeout=240)
        assert process.exitcode == 0, (directory / "error.txt").read_text()


def warm_context() -> ForkServerContext:
    """Processes of it begin with everything imported, and so do ranks that a launcher among them starts."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([RANK_MODULE])
    os.environ.update(
        OMP_NUM_THREADS="1",
        DS_ACCELERATOR="cpu",
        HF_HUB_OFFLINE="1",
        TOKENIZERS_PARALLELISM="false",
        GLOO_SOCKET_IFNAME="lo",
    )
    return context


def share_forkserver(state: dict[str, Any]) -> None:
    """In a process of `warm_context`: have those that it starts begin warm too. `state`: of `forkserver_state`."""
    vars(forkserver._forkserver).update(state, ensure_running=lambda: None)
    forkserver.ensure_running = lambda: None


def forkserver_state() -> dict[str, Any]:
    """Where the forkserver of this process listens."""
    forkserver.ensure_running()
    state = vars(forkserver._forkserver)
    return {name: state[name] for name in ("_forkserver_address", "_forkserver_authkey") if name in state}


def forkserver_pid() -> int:
    """Process id of the forkserver of this process."""
    forkserver.ensure_running()
    pid: int = vars(forkserver._forkserver)["_forkserver_pid"]
    return pid


def outcome_of(entry: dict[str, Any]) -> Outcome:
    """What `run_case` gave on rank 0."""
    reports = [StageReport.model_validate_json(report) for report in entry["reports"]]
    losses = {
        report.progress.step: report.progress.loss
        for report in reports
        if report.state is ReportState.RUNNING and report.progress.loss is not None
    }
    failure = tuple(entry["failure"]) if entry["failure"] else None
    return Outcome(
        reports=reports,
        failure=failure,
        losses=[losses[step] for step in sorted(losses)],
        forwards=entry["forwards"],
    )


def _rank(
    work: Callable[[Any, Path], None], payload: Any, directory: str, rank: int, ranks: int, port: int | None
) -> None:
    from paft_trainer.training.rank import quiet_libraries

    quiet_libraries()
    if port is not None:
        world = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": ranks, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        os.environ.update({name: str(value) for name, value in world.items()})
    try:
        work(payload, Path(directory))
    except Exception:  # noqa: BLE001 - shown by the test
        (Path(directory) / "error.txt").write_text(traceback.format_exc())
        os._exit(1)
    os._exit(0)


def _run_arms(payload: list[tuple[str, str, int | None]], directory: Path) -> None:
    from paft_trainer.training.rank import arm_run, join_world

    rank = int(os.environ.get("RANK", "0"))
    partitioned = join_world(arm_run(RunSpec.model_validate_json(payload[0][0])))
    outcomes = [run_case(rank, *entry, partitioned=partitioned) for entry in payload]
    if rank == 0:
        (directory / "outcomes.json").write_text(json.dumps(outcomes))


def run_case(rank: int, text: str, base: str, stop_at: int | None, *, partitioned: bool) -> dict[str, Any]:
    """On a rank of a world that was joined: train as the RunSpec in `text` says."""
    import torch
    from accelerate.state import AcceleratorState, GradientState
    from transformers.integrations.deepspeed import unset_hf_deepspeed_config

    from paft_trainer.errors import StageError
    from paft_trainer.reporting import Reporter
    from paft_trainer.training.rank import train_in_world
    from paft_trainer.training.stop_signal import StopSignal

    run_spec = RunSpec.model_validate_json(text)
    stop_signal = StopSignal()
    sink = _Recorder(stop_signal, stop_at)
    # Each look at this clock is a minute later, so that every step is reported.
    minutes = iter(range(0, 10**9, 60))
    reporter = Reporter(run_spec.identity, sink if rank == 0 else None, clock=lambda: next(minutes))
    failure = None
    counter = _ForwardCounter()
    hook = torch.nn.modules.module.register_module_forward_pre_hook(counter)
    try:
        train_in_world(run_spec, Path(base), reporter, stop_signal, partitioned=partitioned)
    except StageError as error:
        failure = (error.cause, error.message)
    hook.remove()
    AcceleratorState._reset_state()
    GradientState._reset_state()
    unset_hf_deepspeed_config()
    return {"reports": sink.reports, "failure": failure, "forwards": counter.forwards}


class _ForwardCounter:
    def __init__(self) -> None:
        self.forwards = 0

    def __call__(self, module: Any, _: Any) -> None:
        self.forwards += type(module).__name__ == "LlamaModel"


class _Recorder:
    def __init__(self, stop_signal: Any, stop_at: int | None) -> None:
        self.reports: list[str] = []
        self._stop_signal = stop_signal
        self._stop_at = stop_at

    def write(self, report: StageReport) -> None:
        self.reports.append(report.to_json())
        if self._stop_at is not None and self._is_due(report.progress, self._stop_at):
            self._stop_signal.request()

    def _is_due(self, progress: Progress, stop_at: int) -> bool:
        if stop_at == 0:
            return progress.activity is Activity.COMPUTING_REFERENCE
        return progress.step == stop_at - 1


def free_port() -> int:
    """A TCP port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
