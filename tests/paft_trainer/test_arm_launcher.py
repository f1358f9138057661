"""The launcher around real ranks: what is saved, what is told and what goes on, whatever is killed and when."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import pytest
from tests.ranks import forkserver_state, share_forkserver, warm_context
from tests.run_specs import arm_run_spec, write_sums
from tests.tiny_models import build_checkpoint

from paft_api.causes import CAUSE_FACTS, EXIT_STOPPED, EXIT_SUCCEEDED, Cause
from paft_api.layout import CHECKPOINT_MANIFEST_FILE
from paft_api.report import ReportState, StageReport
from paft_api.run_spec import RunSpec, TerminationMessage
from paft_api.stages import StageName
from paft_cli.local.attempt_process import parent_of, start_time_of
from paft_trainer.launcher import launch
from paft_trainer.storage.file_store import FileStore, path_of
from paft_trainer.training.checkpoint import list_checkpoints
from paft_trainer.training.rank import run_rank

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

STEPS = 20
SAVE_STEPS = 2
LORA_DROPOUT = 0.1
MEGABYTE = 1024**2
LIMIT_AND_USAGE = {"memory.max": "memory.current", "memory.limit_in_bytes": "memory.usage_in_bytes"}
"""Files of cgroup v2 and v1."""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("launcher")
    build_checkpoint(root / "base")
    write_sums(root)
    return root


class Attempt:
    """One attempt at the SFT arm under `root`; `artifacts` tells arms apart."""

    def __init__(
        self,
        root: Path,
        artifacts: str,
        number: int,
        *,
        processes: int = 2,
        data: str = "chats.jsonl",
        evaluated: bool = False,
        **training: Any,
    ) -> None:
        self.base = root / "base"
        run_spec = arm_run_spec(
            "sft",
            base=self.base,
            data=root / data,
            artifacts=root / artifacts,
            processes=processes,
            attempt=number,
            training={"maxSteps": STEPS, "saveSteps": SAVE_STEPS, "evalSteps": 1000} | training,
            l1={"mode": "proximal", "lambda": 2e-3},
        )
        document = run_spec.to_document()
        spec = document["sft"]["spec"]  # type: ignore[index]
        spec["lora"]["dropout"] = LORA_DROPOUT
        spec["data"]["eval"] = spec["data"]["train"] if evaluated else []
        self.run_spec = RunSpec.model_validate(document, strict=False)
        self.file = Path(run_spec.scratch_directory) / "run_spec.json"
        self.file.write_text(self.run_spec.to_json())
        self.process: ForkServerProcess | None = None

    def start(self, group: Path | None = None) -> "Attempt":
        """Start the launcher, in a process that has imported everything, as a member of a cgroup."""
        context = warm_context()
        self.process = context.Process(target=_launch, args=(str(self.file), group, forkserver_state()))
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
        attempt = f"sft/*/attempts/uid-{self.run_spec.identity.attempt}"
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


def _launch(file: str, group: Path | None, forkserver: dict[str, Any]) -> None:
    share_forkserver(forkserver)
    if group is not None:
        (group / "cgroup.procs").write_text(str(os.getpid()))
    sys.exit(launch(StageName.SFT, Path(file)))


def processes() -> list[int]:
    return [int(entry) for entry in os.listdir("/proc") if entry.isdigit() and start_time_of(int(entry)) is not None]


def wait_until(condition: Callable[[], object], *, seconds: float = 120.0, pause: float = 0.02) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(pause)


@pytest.fixture(scope="module")
def unbroken(root: Path) -> Attempt:
    """The same arm without any interruption."""
    attempt = Attempt(root, "unbroken", 1).start()
    assert attempt.end() == EXIT_SUCCEEDED
    return attempt


def test_kills_and_stops_of_rank_and_launcher_cost_nothing_but_time(root: Path, unbroken: Attempt) -> None:
    """One arm over five attempts: a rank is killed, SIGTERM, the launcher is killed while it saves, then to the end."""
    first = Attempt(root, "broken", 1).start()
    first.wait_for_checkpoint()
    os.kill(first.ranks()[1], signal.SIGKILL)
    assert first.end() == CAUSE_FACTS[Cause.UNKNOWN].exit_code
    told = first.termination
    assert (told.cause, told.rank, told.exit_code) == (Cause.UNKNOWN, 1, 64)
    # How it ended is known where nobody noticed its end earlier than the launcher.
    assert told.message in [f"rank 1 ended {how}; it was probably killed" for how in ("by SIGKILL", "without a word")]
    assert told.remedy == CAUSE_FACTS[Cause.UNKNOWN].remedy
    assert first.report.state is ReportState.FAILED
    assert first.ranks() == []

    second = Attempt(root, "broken", 2)
    saved = second.newest_step
    second.start().wait_for_checkpoint()
    assert second.process is not None
    os.kill(second.process.pid or 0, signal.SIGTERM)
    assert second.end() == EXIT_STOPPED
    assert second.termination == TerminationMessage(message="stopped", exit_code=EXIT_STOPPED)
    report = second.report
    assert report.state is ReportState.STOPPED
    assert report.progress.resumed_step == saved
    assert report.progress.step == report.progress.checkpoint_step == second.newest_step > saved

    third = Attempt(root, "broken", 3)
    saved = second.newest_step
    kill_while_saving(third)

    fourth = Attempt(root, "broken", 4)
    saved = max(saved, fourth.newest_step)
    assert fourth.start().end() == EXIT_SUCCEEDED
    assert fourth.termination == TerminationMessage(exit_code=EXIT_SUCCEEDED)
    assert fourth.report.progress.resumed_step == saved
    adapter, expected = fourth.report.adapter, unbroken.report.adapter
    assert adapter is not None
    assert expected is not None
    assert adapter.artifact.digest == expected.artifact.digest
    assert (adapter.steps, adapter.first_loss, adapter.last_loss, adapter.sparsity) == (
        STEPS,
        expected.first_loss,
        expected.last_loss,
        expected.sparsity,
    )

    fifth = Attempt(root, "broken", 5).start()
    assert fifth.end() == EXIT_SUCCEEDED
    assert fifth.report.adapter == adapter.model_copy(update={"adopted": True})


def kill_while_saving(attempt: Attempt) -> None:
    """A launcher of its own, as `paft run` starts it: killed when a checkpoint's first file is there."""
    before = set(attempt.checkpoint_files())
    launcher = subprocess.Popen(
        [sys.executable, "-P", "-m", "paft_trainer", "sft", "--run-spec", str(attempt.file)], start_new_session=True
    )
    with launcher:
        wait_until(lambda: set(attempt.checkpoint_files()) - before or launcher.poll() is not None, pause=0.0005)
        assert launcher.poll() is None
        family = [pid for pid in processes() if os.getsid(pid) == launcher.pid]
        assert len(family) >= 4, "launcher, forkserver and two ranks"
        launcher.kill()
    wait_until(lambda: not any(start_time_of(pid) for pid in family), seconds=20)


def test_a_rank_that_the_kernel_kills_for_memory_is_told_as_such(root: Path) -> None:
    with memory_cgroup() as group:
        attempt = Attempt(root, "memory", 1, processes=1)
        attempt.start(group)
        wait_until(attempt.ranks)
        (rank,) = attempt.ranks()
        Path(f"/proc/{rank}/oom_score_adj").write_text("1000")
        (group / "cgroup.procs").write_text(str(rank))
        attempt.wait_for_checkpoint()
        run_short_of_memory(group)
        assert attempt.end() == CAUSE_FACTS[Cause.HOST_OOM].exit_code
    assert attempt.termination.message == "rank 0 was killed because the container ran out of memory"
    assert attempt.termination.remedy == CAUSE_FACTS[Cause.HOST_OOM].remedy


@contextmanager
def memory_cgroup() -> Iterator[Path]:
    """A memory cgroup below our own, where we may make one."""
    memberships = dict(line.split(":", 2)[1:] for line in Path("/proc/self/cgroup").read_text().splitlines())
    root = Path("/sys/fs/cgroup") / ("memory" if "memory" in memberships else "")
    group = root / memberships.get("memory", memberships.get("", "/")).strip("/") / f"paft-test-{os.getpid()}"
    try:
        group.mkdir()
    except OSError as error:
        pytest.skip(f"no cgroup can be made here: {error}")
    try:
        if not any((group / name).exists() for name in LIMIT_AND_USAGE):
            pytest.skip("the memory controller is not delegated to us")
        yield group
    finally:
        for pid in (group / "cgroup.procs").read_text().split():
            os.kill(int(pid), signal.SIGKILL)
        wait_until(lambda: (group / "cgroup.procs").read_text() == "", seconds=20)
        group.rmdir()


def run_short_of_memory(group: Path) -> None:
    """Have a process of the cgroup ask for more than there is; it gets it once the kernel has killed another one."""
    limit, usage = next(
        (group / limit, group / usage) for limit, usage in LIMIT_AND_USAGE.items() if (group / limit).exists()
    )
    program = f"open({str(group / 'cgroup.procs')!r}, 'w').write('0'); input(); b'x' * {8 * MEGABYTE}"
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, text=True) as process:
        wait_until(lambda: str(process.pid) in (group / "cgroup.procs").read_text().split())
        limit.write_text(str(int(usage.read_text()) + 2 * MEGABYTE))
        process.communicate("\n")
    assert process.returncode == 0


def test_a_failure_of_all_ranks_has_the_cause_of_the_first(root: Path) -> None:
    (root / "torn.jsonl").write_text('{"messages": [')
    attempt = Attempt(root, "torn", 1, data="torn.jsonl").start()
    assert attempt.end() == CAUSE_FACTS[Cause.DATA_INVALID].exit_code
    assert attempt.termination.cause == Cause.DATA_INVALID
    assert attempt.termination.message == f"file://{root}/torn.jsonl:1: not JSON: Expecting value at column 15"
    assert attempt.report.failure is not None
    assert attempt.report.failure.message == attempt.termination.message


def test_one_process_needs_no_launcher_and_a_checkpoint_has_the_loss_of_its_own_step(root: Path) -> None:
    steps = {"maxSteps": 4, "saveSteps": 1, "evalSteps": 2, "keep": {"last": 9}}
    attempt = Attempt(root, "alone", 1, processes=1, evaluated=True, **steps)
    attempt.process = warm_context().Process(target=run_rank, args=(attempt.run_spec.to_json(), str(attempt.base)))
    attempt.process.start()
    assert attempt.end() == EXIT_SUCCEEDED
    assert attempt.report.state is ReportState.SUCCEEDED
    result = attempt.report.adapter
    assert result is not None
    assert result.steps == 4
    losses = {saved.step: saved.eval_loss for saved in list_checkpoints(FileStore(), attempt.artifacts)}
    assert losses == {4: result.eval_loss, 3: None, 2: losses[2], 1: None}
    assert None not in (losses[2], losses[4])
