"""Launchers that find one another, come late, or do not come."""

import threading
import time
from datetime import timedelta

import pytest
from tests.ranks import free_port

from paft_api.causes import Cause
from paft_api.run_spec import World
from paft_trainer.errors import ConfigInvalid, StageFailed
from paft_trainer.launching.rendezvous import NodeRendezvous, rendezvous_of

VARIABLES = {"JOB_COMPLETION_INDEX": "1", "MASTER_ADDR": "tiny-sft-1-0.tiny-sft", "MASTER_PORT": "29500"}


def _world(nodes: int) -> World:
    return World(nodes=nodes, processes_per_node=1, device="cpu", gradient_accumulation_steps=1)


def _node(node: int, nodes: int, port: int, seconds: float = 20.0) -> NodeRendezvous:
    wait = timedelta(seconds=seconds)
    return NodeRendezvous(run_id="run", node=node, nodes=nodes, address="localhost", port=port, longest_wait=wait)


def test_one_node_needs_nobody() -> None:
    info = rendezvous_of(_world(1), VARIABLES, run_id="run").next_rendezvous()
    assert (info.rank, info.world_size) == (0, 1)
    assert info.bootstrap_store_info.master_addr == "127.0.0.1"
    assert info.bootstrap_store_info.master_port > 0


@pytest.mark.parametrize("late", [0, 2])
def test_nodes_find_one_another_whichever_comes_last(late: int) -> None:
    port = free_port()
    nodes = [_node(index, 3, port) for index in range(3)]
    seen: dict[int, tuple[int, int, int, bytes]] = {}

    def join(index: int) -> None:
        info = nodes[index].next_rendezvous()
        info.store.set(f"said by {index}", str(index))
        said = b"".join(info.store.get(f"said by {other}") for other in range(3))
        seen[index] = (info.rank, info.world_size, info.bootstrap_store_info.master_port, said)

    threads = [threading.Thread(target=join, args=(index,)) for index in range(3)]
    for index in sorted(range(3), key=lambda index: index == late):
        if index == late:
            time.sleep(0.5)
            assert seen == {}
        threads[index].start()
    for thread in threads:
        thread.join(timeout=30)
    assert seen == {index: (index, 3, port, b"012") for index in range(3)}


@pytest.mark.parametrize(
    ("node", "what"),
    [(0, "node 1 of 2 did not come within 1 s"), (1, "node 0 does not listen at localhost:{port} within 1 s")],
)
def test_who_does_not_come_is_told(node: int, what: str) -> None:
    port = free_port()
    with pytest.raises(StageFailed) as caught:
        _node(node, 2, port, seconds=1).next_rendezvous()
    assert caught.value.cause is Cause.COLLECTIVE_TIMEOUT
    assert caught.value.message == what.format(port=port)


def test_several_nodes_outside_of_pods_are_refused() -> None:
    with pytest.raises(ConfigInvalid, match="resources.nodes is 2, but MASTER_ADDR, MASTER_PORT is not set"):
        rendezvous_of(_world(2), {"JOB_COMPLETION_INDEX": "0"}, run_id="run")


def test_a_pod_knows_its_node_by_its_index() -> None:
    assert rendezvous_of(_world(2), VARIABLES, run_id="run").node == 1
