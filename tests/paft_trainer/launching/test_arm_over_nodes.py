"""One arm over two launchers, as in the two pods of an Indexed Job: one rank each, one world."""

import os
import signal
from pathlib import Path

import pytest
from tests.paft_trainer.launched_arms import Attempt, wait_until
from tests.ranks import free_port

from paft_api.causes import CAUSE_FACTS, EXIT_STOPPED, EXIT_SUCCEEDED, Cause
from paft_api.report import ReportState

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


class TwoNodes:
    """One attempt; pods come up one after the other, the first one last."""

    def __init__(self, root: Path, artifacts: str, number: int) -> None:
        port = str(free_port())
        self.nodes = [Attempt(root, artifacts, number, processes=1, nodes=2, node=node) for node in (0, 1)]
        for index in (1, 0):
            self.nodes[index].start(
                JOB_COMPLETION_INDEX=str(index), MASTER_ADDR="localhost", MASTER_PORT=port, GLOO_SOCKET_IFNAME="lo"
            )

    @property
    def launchers(self) -> list[int]:
        """Their process ids."""
        return [node.process.pid or 0 for node in self.nodes if node.process is not None]

    def ranks(self) -> list[int]:
        """Process ids of the ranks of both."""
        return [pid for pid in self.nodes[0].ranks() if pid not in self.launchers]

    def ends(self) -> list[int]:
        """Wait for both; their exit codes."""
        return [node.end() for node in self.nodes]


def test_an_arm_over_two_nodes_is_stopped_goes_on_and_is_the_same_as_on_one(arm_root: Path, unbroken: Attempt) -> None:
    first = TwoNodes(arm_root, "two-nodes", 1)
    first.nodes[0].wait_for_checkpoint()
    # A drain asks one node's pod to stop; the other's learns it from its ranks.
    os.kill(first.launchers[1], signal.SIGTERM)
    assert first.ends() == [EXIT_STOPPED, EXIT_STOPPED]
    saved = first.nodes[0].newest_step
    for node in first.nodes:
        assert node.report.state is ReportState.STOPPED
        assert node.report.progress.checkpoint_step == saved

    second = TwoNodes(arm_root, "two-nodes", 2)
    assert second.ends() == [EXIT_SUCCEEDED, EXIT_SUCCEEDED]
    report, expected = second.nodes[0].report, unbroken.report.adapter
    assert report.progress.resumed_step == saved
    assert report.adapter is not None
    assert expected is not None
    assert report.adapter.artifact.digest == expected.artifact.digest


def test_a_rank_that_is_killed_is_told_by_its_node_and_a_lost_peer_by_the_other(arm_root: Path) -> None:
    attempt = TwoNodes(arm_root, "killed-node", 1)
    attempt.nodes[0].wait_for_checkpoint()
    os.kill(attempt.ranks()[0], signal.SIGKILL)
    ends = attempt.ends()

    killed = ends.index(CAUSE_FACTS[Cause.UNKNOWN].exit_code)
    assert ends[1 - killed] == CAUSE_FACTS[Cause.PEER_LOST].exit_code
    told = attempt.nodes[killed].termination
    assert told.rank == killed
    assert told.message.startswith(f"rank {killed} ended")
    wait_until(lambda: attempt.ranks() == [])
