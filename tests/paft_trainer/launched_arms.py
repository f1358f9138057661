"""Attempts at an arm of a tiny model: its launcher in a process of its own, and real ranks."""

import os
import sys
import time
from collections.abc import Callable
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

from tests.ranks import forkserver_state, share_forkserver, warm_context
from tests.run_specs import arm_run_spec

from paft_api.layout import CHECKPOINT_MANIFEST_FILE
from paft_api.report import StageReport
from paft_api.run_spec import RunSpec, TerminationMessage
from paft_api.stages import StageName
from paft_cli.local.attempt_process import parent_of, start_time_of
from paft_trainer.keeping.saved_checkpoints import list_checkpoints
from paft_trainer.launching.launcher import launch
from paft_trainer.storage.file_store import FileStore, path_of

STEPS = 20
SAVE_STEPS = 2
LORA_DROPOUT = 0.1
ROWS = {StageName.SFT: "chats.jsonl", StageName.PREFERENCE: "pairs.jsonl"}
"""What `write_sums` has written for each arm."""


class Attempt:
    """One attempt at an arm under `root`, on one node; `artifacts` tells arms apart.

    `retry_window`: seconds for which an object store that does not answer is tried again.
    """

    def __init__(
        self,
        root: Path,
        artifacts: str,
        number: int,
        *,
        stage: StageName = StageName.SFT,
        processes: int = 2,
        nodes: int = 1,
        node: int = 0,
        data: str | None = None,
        evaluated: bool = False,
        reached_step: int = 0,
        dropout: float = LORA_DROPOUT,
        retry_window: int = 600,
        **training: Any,
    ) -> None:
        self.base = root / "base"
        run_spec = arm_run_spec(
            stage,
            base=self.base,
            data=root / (data or ROWS[stage]),
            artifacts=root / artifacts,
            processes=processes,
            nodes=nodes,
            node=node,
            attempt=number,
            training={"maxSteps": STEPS, "saveSteps": SAVE_STEPS, "evalSteps": 1000} | training,
            l1={"mode": "proximal", "lambda": 2e-3} if stage is StageName.SFT else None,
        )
        document: Any = run_spec.to_document()
        document["reachedStep"] = reached_step
        document["storage"]["retryWindow"] = retry_window
        spec = document[stage]["spec"]
        spec["lora"]["dropout"] = dropout
        spec["data"]["eval"] = spec["data"]["train"] if evaluated else []
        self.run_spec = RunSpec.model_validate(document, strict=False)
        self.file = Path(run_spec.scratch_directory) / "run_spec.json"
        self.file.write_text(self.run_spec.to_json())
        self.process: ForkServerProcess | None = None

    def start(self, **environment: str) -> "Attempt":
        """Start the launcher, in a process that has imported everything. `environment`: more variables."""
        context = warm_context()
        arguments = (self.run_spec.identity.stage, str(self.file), forkserver_state(), environment)
        self.process = context.Process(target=_launch, args=arguments)
        self.process.start()
        return self

    def end(self) -> int:
        """Wait for the launcher; its exit code."""
        assert self.process is not None
        self.process.join(timeout=120)
        assert self.process.exitcode is not None
        return self.process.exitcode

    @property
    def report(self) -> StageReport:
        return StageReport.model_validate_json(Path(self.run_spec.report_path).read_text())

    @property
    def termination(self) -> TerminationMessage:
        return TerminationMessage.model_validate_json(Path(self.run_spec.termination_path).read_text())

    def checkpoint_files(self) -> list[Path]:
        """Files of this attempt's checkpoints so far, the temporary ones among them."""
        identity = self.run_spec.identity
        attempt = f"{identity.stage}/*/attempts/uid-{identity.attempt}"
        return list(path_of(self.artifacts).glob(f"{attempt}/checkpoints/*/*"))

    @property
    def artifacts(self) -> str:
        """The folder of the arm."""
        return self.run_spec.storage.artifacts_uri

    @property
    def newest_step(self) -> int:
        """Of the complete checkpoints of all attempts."""
        return list_checkpoints(FileStore(), self.artifacts)[0].step

    def wait_for_checkpoint(self) -> None:
        """Until this attempt has saved."""
        wait_until(lambda: any(path.name == CHECKPOINT_MANIFEST_FILE for path in self.checkpoint_files()))

    def ranks(self) -> list[int]:
        """Process ids of the ranks, in their order: what the forkserver started besides the launcher."""
        assert self.process is not None
        own, forkserver = self.process.pid, parent_of(self.process.pid)
        return sorted(pid for pid in processes() if parent_of(pid) == forkserver and pid != own)


def _launch(stage: StageName, file: str, forkserver: dict[str, Any], environment: dict[str, str]) -> None:
    os.environ.update(environment)
    share_forkserver(forkserver)
    sys.exit(launch(stage, Path(file)))


def processes() -> list[int]:
    return [int(entry) for entry in os.listdir("/proc") if entry.isdigit() and start_time_of(int(entry)) is not None]


def wait_until(condition: Callable[[], object], *, seconds: float = 120.0, pause: float = 0.02) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(pause)
