"""Ranks that are killed when they have returned, but not yet ended: their launcher must not wait for them for ever."""

import multiprocessing
import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

import pytest
from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, start_processes

from paft_trainer.launching.finished_event import use_finished_event

pytestmark = pytest.mark.slow


def _returns() -> int:
    return os.getpid()


@pytest.fixture
def context(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Of two ranks, which have returned and wait to be let go."""
    forkserver_context: Any = multiprocessing.get_context("forkserver")
    monkeypatch.setattr(forkserver_context, "Event", forkserver_context.Event)
    use_finished_event()
    ranks = range(2)
    started: Any = start_processes(
        "rank",
        _returns,
        dict.fromkeys(ranks, ()),
        {rank: {} for rank in ranks},
        DefaultLogsSpecs(log_dir=str(tmp_path)),
        start_method="forkserver",
    )
    deadline = time.monotonic() + 60
    while any(started._ret_vals[rank].empty() for rank in ranks) and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.2)
    yield started
    started.close()


def test_ranks_that_have_returned_end_when_they_are_let_go(context: Any) -> None:
    result = context.wait(timeout=30)
    assert set(result.return_values.values()) == set(context.pids().values())
    assert not result.is_failed()


def test_a_rank_that_is_killed_before_its_launcher_knows_does_not_hold_it(context: Any) -> None:
    """Nobody tells the launcher of the death before it lets ranks go: the forkserver, which would, is stopped."""
    server = forkserver._forkserver._forkserver_pid
    assert server is not None
    victim = context.pids()[0]
    os.kill(server, signal.SIGSTOP)
    os.kill(victim, signal.SIGKILL)
    threading.Timer(2, os.kill, (server, signal.SIGCONT)).start()
    with ThreadPoolExecutor(1) as threads:
        ended = threads.submit(context.wait, 30)
        result = ended.result(timeout=60)
    assert result.failures[0].exitcode == -signal.SIGKILL
