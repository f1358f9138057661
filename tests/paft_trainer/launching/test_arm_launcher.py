"""The launcher around real ranks: what is saved, what is told and what goes on, whatever is killed and when."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.paft_trainer.launched_arms import SAVE_STEPS, STEPS, Attempt, processes, wait_until
from tests.ranks import forkserver_pid, warm_context

from paft_api.causes import CAUSE_FACTS, EXIT_STOPPED, EXIT_SUCCEEDED, Cause
from paft_api.report import ReportState
from paft_api.run_spec import TerminationMessage
from paft_api.storage_survey import FolderState, ItemKind
from paft_cli.local.attempt_process import start_time_of
from paft_trainer.keeping.reading import read_stages
from paft_trainer.keeping.saved_checkpoints import list_checkpoints
from paft_trainer.keeping.survey import judged_stage
from paft_trainer.launching.arm_launcher import prepare_base
from paft_trainer.storage.file_store import FileStore
from paft_trainer.training.rank import run_rank

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

MEGABYTE = 1024**2
LIMIT_AND_USAGE = {"memory.max": "memory.current", "memory.limit_in_bytes": "memory.usage_in_bytes"}
"""Files of cgroup v2 and v1."""


def test_kills_and_stops_of_rank_and_launcher_cost_nothing_but_time(arm_root: Path, unbroken: Attempt) -> None:
    """One arm over five attempts: a rank is killed, SIGTERM, the launcher is killed while it saves, then to the end."""
    first = Attempt(arm_root, "broken", 1).start()
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

    second = Attempt(arm_root, "broken", 2)
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

    third = Attempt(arm_root, "broken", 3)
    saved = second.newest_step
    kill_while_saving(third)

    saved = max(saved, third.newest_step)
    fourth = Attempt(arm_root, "broken", 4, reached_step=saved + 2)
    began = datetime.now(UTC)
    assert fourth.start().end() == EXIT_SUCCEEDED
    time, seconds = fourth.report.time, (fourth.report.updated_at - began).total_seconds()
    assert time is not None
    assert time.total == pytest.approx(seconds, abs=1)
    assert min(time.load, time.train, time.evaluate, time.save, time.redo) > 0
    assert time.wait_for_storage == time.compile == 0
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

    left = judged_stage(read_stages(FileStore(), fourth.artifacts)[0], ())
    assert left.described.state is FolderState.FINISHED
    assert [saved.step for saved in list_checkpoints(FileStore(), fourth.artifacts)] == [STEPS, STEPS - SAVE_STEPS]
    assert [one.over for one in left.described.attempts] == [
        "its marker says that it has failed",
        "its marker says that it has stopped",
        "its job's next attempt has found it over",
        "its marker says that it has succeeded",
    ]
    assert left.described.uploads == 0
    assert ItemKind.TORN_CHECKPOINT not in [verdict.kind for verdict in left.verdicts]

    fifth = Attempt(arm_root, "broken", 5).start()
    assert fifth.end() == EXIT_SUCCEEDED
    assert fifth.report.adapter == adapter.model_copy(update={"adopted": True})


def launched(attempt: Attempt) -> "subprocess.Popen[bytes]":
    """A launcher of its own, as `paft run` starts it."""
    command = [sys.executable, "-P", "-m", "paft_trainer", "sft", "--run-spec", str(attempt.file)]
    return subprocess.Popen(command, start_new_session=True)


def family_of(launcher: "subprocess.Popen[bytes]") -> list[int]:
    """Process ids of it and all that it started."""
    return [pid for pid in processes() if os.getsid(pid) == launcher.pid]


def forkservers_of(launcher: "subprocess.Popen[bytes]") -> list[int]:
    """Process ids of what it has ranks started by."""
    programs = {pid: Path(f"/proc/{pid}/cmdline").read_bytes() for pid in family_of(launcher)}
    return [pid for pid, program in programs.items() if b"multiprocessing.forkserver" in program]


def kill_while_saving(attempt: Attempt) -> None:
    """The launcher is killed when a checkpoint's first file is there."""
    before = set(attempt.checkpoint_files())
    with launched(attempt) as launcher:
        wait_until(lambda: set(attempt.checkpoint_files()) - before or launcher.poll() is not None, pause=0.0005)
        assert launcher.poll() is None
        family = family_of(launcher)
        assert len(family) >= 4, "launcher, forkserver and two ranks"
        launcher.kill()
    wait_until(lambda: not any(start_time_of(pid) for pid in family), seconds=20)


def test_a_rank_that_the_kernel_kills_for_memory_is_told_as_such(arm_root: Path) -> None:
    with memory_cgroup() as group:
        attempt = Attempt(arm_root, "memory", 1, processes=1, maxSteps=10_000)
        with in_cgroup(forkserver_pid(), group):
            attempt.start()
            wait_until(attempt.ranks)
        (rank,) = attempt.ranks()
        Path(f"/proc/{rank}/oom_score_adj").write_text("1000")
        attempt.wait_for_checkpoint()
        # It must neither end before the kernel looks for somebody to kill, nor write files that could be forgotten.
        os.kill(rank, signal.SIGSTOP)
        run_short_of_memory(group)
        assert attempt.end() == CAUSE_FACTS[Cause.HOST_OOM].exit_code
    assert attempt.termination.message == "rank 0 was killed because the container ran out of memory"
    assert attempt.termination.remedy == CAUSE_FACTS[Cause.HOST_OOM].remedy


def test_forkservers_that_are_killed_before_they_start_ranks_are_told_as_such(arm_root: Path) -> None:
    """One that is killed while nobody waits for it yet is only started again."""
    attempt = Attempt(arm_root, "no-forkserver", 1)
    with launched(attempt) as launcher:

        def kill_another() -> bool:
            # Any process of the machine may end while it is looked at.
            with suppress(ProcessLookupError, FileNotFoundError):
                for pid in forkservers_of(launcher):
                    os.kill(pid, signal.SIGKILL)
            return launcher.poll() is not None

        wait_until(kill_another)
    assert launcher.returncode == CAUSE_FACTS[Cause.UNKNOWN].exit_code
    assert attempt.termination.message == (
        "the process that starts the ranks ended while it was loading libraries; it was probably killed"
    )


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


@contextmanager
def in_cgroup(pid: int, group: Path) -> Iterator[None]:
    """Have it in a cgroup below its own for a while; what it starts meanwhile stays there, with all its memory."""
    (group / "cgroup.procs").write_text(str(pid))
    try:
        yield
    finally:
        (group.parent / "cgroup.procs").write_text(str(pid))


def run_short_of_memory(group: Path) -> None:
    """Have a process of the cgroup ask for more than there is, so that the kernel kills another one.

    Copies of files in memory do not help: it asks for more than they take. Before all memory of the killed one is free,
    the kernel may look for a second one. That is then the process that asks: it holds so much that it comes before a
    launcher.
    """
    limit, usage = next(
        (group / limit, group / usage) for limit, usage in LIMIT_AND_USAGE.items() if (group / limit).exists()
    )
    come_first = "open('/proc/self/oom_score_adj', 'w').write('1000')"
    join = f"open({str(group / 'cgroup.procs')!r}, 'w').write('0')"
    program = f"{come_first}; {join}; held = b'x' * {200 * MEGABYTE}; print('ready', flush=True); b'x' * int(input())"
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        limit.write_text(str(int(usage.read_text()) + 2 * MEGABYTE))
        process.communicate(f"{_file_bytes(group) + 8 * MEGABYTE}\n")
    assert process.returncode in (0, -signal.SIGKILL)


def _file_bytes(group: Path) -> int:
    """Of what the kernel can forget without killing anybody."""
    facts = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
    return int(facts["active_file"]) + int(facts["inactive_file"])


def test_a_failure_of_all_ranks_has_the_cause_of_the_first(arm_root: Path) -> None:
    (arm_root / "torn.jsonl").write_text('{"messages": [')
    attempt = Attempt(arm_root, "torn", 1, data="torn.jsonl").start()
    assert attempt.end() == CAUSE_FACTS[Cause.DATA_INVALID].exit_code
    assert attempt.termination.cause == Cause.DATA_INVALID
    assert attempt.termination.message == f"file://{arm_root}/torn.jsonl:1: not JSON: Expecting value at column 15"
    assert attempt.report.failure is not None
    assert attempt.report.failure.message == attempt.termination.message


def test_one_process_needs_no_launcher_and_a_checkpoint_has_the_loss_of_its_own_step(arm_root: Path) -> None:
    steps = {"maxSteps": 4, "saveSteps": 1, "evalSteps": 2, "keep": {"last": 9}}
    attempt = Attempt(arm_root, "alone", 1, processes=1, evaluated=True, **steps)
    base = prepare_base(attempt.run_spec, FileStore())
    attempt.process = warm_context().Process(target=run_rank, args=(attempt.run_spec.to_json(), str(base)))
    attempt.process.start()
    assert attempt.end() == EXIT_SUCCEEDED
    assert attempt.report.state is ReportState.SUCCEEDED
    result = attempt.report.adapter
    assert result is not None
    assert result.steps == 4
    losses = {saved.step: saved.eval_loss for saved in list_checkpoints(FileStore(), attempt.artifacts)}
    assert losses == {4: result.eval_loss, 3: None, 2: losses[2], 1: None}
    assert None not in (losses[2], losses[4])
