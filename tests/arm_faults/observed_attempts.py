"""Attempts at an arm whose ranks can be found, and told apart, from outside; on one node or several."""

import json
import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.arm_faults.drawn_trials import GLOBAL_BATCH, LOADING, SAVE_STEPS, STEPS, Nodes
from tests.arm_faults.observed_rank import POISON_FILE, observation_folder, observed_rank, write_output_to
from tests.paft_trainer.launched_arms import Attempt
from tests.ranks import forkserver_state, free_port, share_forkserver, warm_context

from paft_api.report import StageReport
from paft_api.stages import StageName
from paft_cli.local.attempt_process import start_time_of
from paft_trainer.launching import arm_launcher
from paft_trainer.launching.heartbeats import read_beats
from paft_trainer.launching.launcher import launch

_LOOK_SECONDS = 0.002
_LONGEST_SECONDS = 120.0
HANG_SECONDS = 5
RETRY_SECONDS = 2


class ObservedNode(Attempt):
    """One node's part in an attempt."""

    def __init__(self, root: Path, artifacts: str, number: int, world: Nodes, *, node: int, **options: Any) -> None:
        super().__init__(
            root,
            artifacts,
            number,
            processes=world.processes,
            nodes=world.nodes,
            node=node,
            retry_window=RETRY_SECONDS,
            maxSteps=STEPS,
            saveSteps=SAVE_STEPS,
            globalBatchSize=GLOBAL_BATCH,
            microBatchSize=GLOBAL_BATCH // world.ranks,
            hangTimeout=HANG_SECONDS,
            **options,
        )
        self.observed = observation_folder(self.run_spec)
        self.observed.mkdir()

    def start(self, **environment: str) -> "ObservedNode":
        # It has to be asked for before the forkserver is started.
        context = warm_context()
        arguments = (self.run_spec.identity.stage, str(self.file), str(self.observed), forkserver_state(), environment)
        self.process = context.Process(target=_launch, args=arguments)
        self.process.start()
        return self

    @property
    def begun(self) -> int:
        """How many ranks have begun here."""
        return len(list(self.observed.glob("rank-*.pid")))

    @property
    def pids(self) -> dict[int, int]:
        """Process ids of the ranks that run here, by rank; not of who was given the number of one that has ended."""
        running = {}
        for file in self.observed.glob("rank-*.pid"):
            pid, started = map(int, file.read_text().split())
            if start_time_of(pid) == started:
                running[int(file.stem.removeprefix("rank-"))] = pid
        return running

    @property
    def scratch(self) -> Path:
        """The folder of this node's part."""
        return Path(self.run_spec.scratch_directory)


class ObservedAttempt:
    """An attempt, on all of its nodes. A context, at the end of which none of its processes is left."""

    def __init__(self, root: Path, artifacts: str, number: int, world: Nodes, stage: StageName, dropout: float) -> None:
        self.world = world
        self.nodes = [
            ObservedNode(root, artifacts, number, world, node=node, stage=stage, dropout=dropout)
            for node in range(world.nodes)
        ]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for pid in [*self.pids.values(), *self._launchers()]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def poison(self, *, at_step: int, at_rank: int, where: str, value: str) -> None:
        """Have a number that is not finite come up in it."""
        document = {"at_step": at_step, "at_rank": at_rank, "where": where, "value": value}
        for node in self.nodes:
            (node.observed / POISON_FILE).write_text(json.dumps(document))

    def start(self) -> None:
        """Start all launchers."""
        port = str(free_port())
        for index, node in enumerate(self.nodes):
            several = {"JOB_COMPLETION_INDEX": str(index), "MASTER_ADDR": "localhost", "MASTER_PORT": port}
            node.start(**(several if self.world.nodes > 1 else {}))

    def end(self) -> list[int]:
        """Wait for all launchers; their exit codes. Those that do not end are killed, which their code tells."""
        deadline = time.monotonic() + _LONGEST_SECONDS
        while self._launchers() and time.monotonic() < deadline:
            time.sleep(_LOOK_SECONDS)
        for pid in self._launchers():
            os.kill(pid, signal.SIGKILL)
        return [node.end() for node in self.nodes]

    def wait_for(self, moment: int, delay: float) -> bool:
        """Until so many steps are done, and `delay` seconds longer; whether it was still running then."""
        reached = self._has_begun if moment == LOADING else lambda: self._has_done(moment)
        while not reached() and self.is_running:
            time.sleep(_LOOK_SECONDS)
        time.sleep(delay)
        return self.is_running

    @property
    def is_running(self) -> bool:
        """Whether all launchers are there."""
        return all(node.process is not None and node.process.is_alive() for node in self.nodes)

    @property
    def pids(self) -> dict[int, int]:
        """Process ids of the ranks that run, by rank."""
        return {rank: pid for node in self.nodes for rank, pid in node.pids.items()}

    @property
    def steps_begun(self) -> int:
        """Optimizer steps of which some rank has done a forward and backward pass."""
        beats = [beat for node in self.nodes for beat in read_beats(node.scratch).values() if beat.count > 1]
        return max((beat.step + 1 for beat in beats), default=0)

    @property
    def report(self) -> StageReport:
        """Of node 0, which speaks for the attempt."""
        return self.nodes[0].report

    def survivors(self, *, seconds: float = 20) -> list[int]:
        """Ranks whose processes are there although their launchers have ended."""
        deadline = time.monotonic() + seconds
        while left := sorted(self.pids):
            if time.monotonic() > deadline:
                break
            time.sleep(_LOOK_SECONDS)
        return left

    def log(self) -> str:
        """What launchers and ranks have written."""
        files = sorted(file for node in self.nodes for file in node.observed.glob("*.log"))
        return "\n".join(f"{file.name}\n{file.read_text(errors='replace')}" for file in files)

    def _has_begun(self) -> bool:
        return sum(node.begun for node in self.nodes) == self.world.ranks

    def _has_done(self, steps: int) -> bool:
        # A pass of the step after them tells that they are done.
        return self.steps_begun > steps

    def _launchers(self) -> list[int]:
        """Process ids of those that run."""
        processes = [node.process for node in self.nodes if node.process is not None]
        return [process.pid for process in processes if process.pid is not None and process.is_alive()]


def _launch(
    stage: StageName, file: str, observed: str, forkserver: dict[str, Any], environment: dict[str, str]
) -> None:
    write_output_to(Path(observed) / "launcher.log")
    os.environ.update(environment)
    share_forkserver(forkserver)
    arm_launcher._rank = observed_rank
    sys.exit(launch(stage, Path(file)))
