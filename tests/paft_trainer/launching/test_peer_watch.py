"""Nodes that go before ranks have met: those who wait for them are ended, and told why."""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from tests.ranks import free_port

from paft_api.causes import Cause
from paft_trainer.launching.failure_records import read_failure_records
from paft_trainer.launching.peer_watch import PeerWatch
from paft_trainer.launching.rendezvous import NodeRendezvous

pytestmark = pytest.mark.slow

LOOK_SECONDS = 0.05
SILENT_LOOKS = 40
"""Two seconds, which a machine with much else to do must not take between two looks."""


def rendezvous(node: int, port: int) -> NodeRendezvous:
    wait = timedelta(seconds=60)
    return NodeRendezvous(run_id="run", node=node, nodes=2, address="localhost", port=port, longest_wait=wait)


def watch(met: NodeRendezvous, scratch: Path, ranks: dict[int, int]) -> PeerWatch:
    return PeerWatch(met, scratch, lambda: ranks, look=LOOK_SECONDS, silent_looks=SILENT_LOOKS, patience=0.2)


def be_node_0(port: int) -> None:
    """A launcher whose ranks do not end."""
    met = rendezvous(0, port)
    met.next_rendezvous()
    with watch(met, Path(), {}):
        time.sleep(60)


@contextmanager
def waiting_rank() -> Iterator["subprocess.Popen[bytes]"]:
    with subprocess.Popen(["sleep", "60"]) as process:
        yield process
        process.kill()


def failures(scratch: Path) -> list[tuple[Cause, int | None, str]]:
    return [(failure.cause, failure.rank, failure.message) for failure in read_failure_records(scratch)]


def test_ranks_do_not_wait_for_a_node_0_that_is_gone(tmp_path: Path) -> None:
    port = free_port()
    program = f"from tests.paft_trainer.launching import test_peer_watch as node; node.be_node_0({port})"
    with subprocess.Popen([sys.executable, "-c", program]) as launcher, waiting_rank() as rank:
        met = rendezvous(1, port)
        met.next_rendezvous()
        with watch(met, tmp_path, {1: rank.pid}):
            time.sleep(1.5 * SILENT_LOOKS * LOOK_SECONDS)
            assert rank.poll() is None
            launcher.kill()
            assert rank.wait(timeout=20) == -9
    message = "node 0 is gone: its launcher does not answer any more, and rank 1 waits for its ranks"
    assert failures(tmp_path) == [(Cause.PEER_LOST, 1, message)]


def test_ranks_do_not_wait_for_another_node_that_is_gone_and_those_who_are_there_are_let_alone(tmp_path: Path) -> None:
    first, second = (rendezvous(node, port) for port in [free_port()] for node in (0, 1))
    meeting = threading.Thread(target=second.next_rendezvous)
    meeting.start()
    first.next_rendezvous()
    meeting.join()
    (tmp_path / "second").mkdir()
    with waiting_rank() as rank, watch(first, tmp_path, {0: rank.pid}):
        with watch(second, tmp_path / "second", {1: rank.pid}):
            time.sleep(1.5 * SILENT_LOOKS * LOOK_SECONDS)
            assert rank.poll() is None
        # The second node's launcher tells nothing any more.
        assert rank.wait(timeout=20) == -9
    assert [(cause, rank) for cause, rank, _ in failures(tmp_path)] == [(Cause.PEER_LOST, 0)]
    assert failures(tmp_path / "second") == []
