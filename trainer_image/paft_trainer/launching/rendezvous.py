"""How the launchers of an arm's nodes find one another: a store on the first node, which the ranks use too.

torch's own static rendezvous waits for the others inside C++, where no SIGTERM is seen; here every wait is a loop.
"""

import os
import socket
import threading
import time
from collections.abc import Mapping
from datetime import timedelta

from torch.distributed import PrefixStore, Store, TCPStore
from torch.distributed.elastic.rendezvous import RendezvousHandler, RendezvousInfo, RendezvousStoreInfo

from paft_api.causes import Cause
from paft_api.run_spec import World
from paft_api.stage_pods import RENDEZVOUS_VARIABLES
from paft_trainer.errors import ConfigInvalid, StageFailed

LONGEST_WAIT = timedelta(minutes=30)
"""For the other nodes: their images may have to be pulled. An operator's `pendingDeadlineSeconds` may be shorter."""
_PAUSE_SECONDS = 0.2
_ATTEMPT_SECONDS = 5.0
_LOOPBACK = "127.0.0.1"


class NodeRendezvous(RendezvousHandler):
    """One store for `nodes` launchers, served by node 0 at `port`; 0 means any that is free, for one node.

    `address`: of node 0, for the others. Node 0 itself and its ranks need no name of their own to be known yet.
    `node`: index of this one. `met`: set once all have come.
    """

    def __init__(
        self,
        *,
        run_id: str,
        node: int = 0,
        nodes: int = 1,
        address: str = _LOOPBACK,
        port: int = 0,
        longest_wait: timedelta = LONGEST_WAIT,
    ) -> None:
        self._run_id = run_id
        self.node = node
        self.nodes = nodes
        self._address = _LOOPBACK if node == 0 else address
        self._port = port
        self._longest_wait = longest_wait
        self._server: TCPStore | None = None
        self.met = threading.Event()

    def next_rendezvous(self) -> RendezvousInfo:
        """Wait for all nodes. Raises StageFailed where one does not come."""
        deadline = time.monotonic() + self._longest_wait.total_seconds()
        self._server = self._connect(deadline)
        store = PrefixStore(self._run_id, self._server)
        self._meet(store, deadline)
        self.met.set()
        return RendezvousInfo(store, self.node, self.nodes, RendezvousStoreInfo(self._address, self._server.port))

    def open_store(self) -> Store:
        """One more connection, for another thread than the agent's, whose waits it shall not share. Once all have met.

        Raises DistError.
        """
        assert self._server is not None
        timeout = timedelta(seconds=_ATTEMPT_SECONDS)
        store = TCPStore(self._address, self._server.port, is_master=False, wait_for_workers=False, timeout=timeout)
        return PrefixStore(self._run_id, store)

    def _connect(self, deadline: float) -> TCPStore:
        while self.node != 0 and not self._is_reachable():
            if time.monotonic() > deadline:
                raise self._nobody(f"node 0 does not listen at {self._address}:{self._port}")
            time.sleep(_PAUSE_SECONDS)
        return TCPStore(self._address, self._port, is_master=self.node == 0, wait_for_workers=False)

    def _is_reachable(self) -> bool:
        try:
            socket.create_connection((self._address, self._port), timeout=_ATTEMPT_SECONDS).close()
        except OSError:
            return False
        return True

    def _meet(self, store: Store, deadline: float) -> None:
        store.set(_key(self.node), "")
        while missing := [node for node in range(self.nodes) if not store.check([_key(node)])]:
            if time.monotonic() > deadline:
                nodes = "node" if len(missing) == 1 else "nodes"
                raise self._nobody(f"{nodes} {', '.join(map(str, missing))} of {self.nodes} did not come")
            time.sleep(_PAUSE_SECONDS)

    def _nobody(self, what: str) -> StageFailed:
        return StageFailed(
            Cause.COLLECTIVE_TIMEOUT,
            f"{what} within {self._longest_wait.total_seconds():.0f} s",
            remedy="Check that all pods of the arm run, and that no NetworkPolicy keeps them apart.",
        )

    def get_backend(self) -> str:
        """Name of this kind of rendezvous, for torch's log."""
        return "paft"

    def get_run_id(self) -> str:
        """Prefix of all keys."""
        return self._run_id

    @property
    def use_agent_store(self) -> bool:
        """Ranks use the same store, so that one port is enough."""
        return True

    def is_closed(self) -> bool:
        """Never: who takes part is known beforehand."""
        return False

    def set_closed(self) -> None:
        """Nobody can be kept out."""

    def num_nodes_waiting(self) -> int:
        """None: nobody else may join."""
        return 0

    def shutdown(self) -> bool:
        """The store goes with this process."""
        return True


def rendezvous_of(world: World, environment: Mapping[str, str] = os.environ, *, run_id: str) -> NodeRendezvous:
    """The rendezvous of this node, by the variables of its pod where there are several. Raises ConfigInvalid."""
    if world.nodes == 1:
        return NodeRendezvous(run_id=run_id)
    missing = [name for name in RENDEZVOUS_VARIABLES if name not in environment]
    if missing:
        raise ConfigInvalid(
            f"resources.nodes is {world.nodes}, but {', '.join(missing)} is not set",
            remedy="Set resources.nodes to 1, or run the job in a cluster.",
        )
    node, address, port = (environment[name] for name in RENDEZVOUS_VARIABLES)
    return NodeRendezvous(run_id=run_id, node=int(node), nodes=world.nodes, address=address, port=int(port))


def _key(node: int) -> str:
    return f"nodes/{node}"
