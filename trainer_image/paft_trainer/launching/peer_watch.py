"""Finds nodes whose launcher is gone, and ends the ranks here that wait for theirs.

A rank that has met the others learns from its connections that one of them is gone. One that is about to meet them
does not: it would wait for as long as a meeting may take, half an hour and more.
"""

import os
import signal
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from torch.distributed import DistError, Store

from paft_api.causes import CAUSE_FACTS, Cause
from paft_api.report import Failure
from paft_trainer.launching.failure_records import read_failure_records, write_failure_record
from paft_trainer.launching.rendezvous import NodeRendezvous

_LOOK_SECONDS = 1.0
_SILENT_LOOKS = 30
"""Looks at another node's count, not seconds: this process may have been stopped itself for a while."""
_PATIENCE_SECONDS = 10.0
"""For ranks to notice by themselves: they know more, and at the end of an arm nodes go one after the other."""


class PeerWatch:
    """A context in which launchers of several nodes tell one another that they are there; nothing on one node.

    `scratch`: the attempt's, for the failures of ranks. `ranks`: process ids of this node's ranks, by rank.
    """

    def __init__(
        self,
        rendezvous: NodeRendezvous,
        scratch: Path,
        ranks: Callable[[], Mapping[int, int]],
        *,
        look: float = _LOOK_SECONDS,
        silent_looks: int = _SILENT_LOOKS,
        patience: float = _PATIENCE_SECONDS,
    ) -> None:
        """`look`, `patience`: seconds. `silent_looks`: after so many a node counts as gone."""
        self._rendezvous = rendezvous
        self._scratch = scratch
        self._ranks = ranks
        self._look = look
        self._silent_looks = silent_looks
        self._patience = patience
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="paft-peer-watch", daemon=True)

    def __enter__(self) -> Self:
        if self._rendezvous.nodes > 1:
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._over.set()
        if self._rendezvous.nodes > 1:
            self._thread.join()

    def _watch(self) -> None:
        while not self._rendezvous.met.is_set():
            if self._over.wait(self._look):
                return
        try:
            lost = self._lost_node(self._rendezvous.open_store())
        except DistError:
            lost = 0
        if lost is not None and not self._over.wait(self._patience):
            self._end_ranks(lost)

    def _lost_node(self, store: Store) -> int | None:
        """The node that is not heard of any more; None where it is over before. Raises DistError without node 0."""
        own = self._rendezvous.node
        others = [node for node in range(self._rendezvous.nodes) if node != own]
        counts, silent = dict.fromkeys(others, 0), dict.fromkeys(others, 0)
        while not self._over.wait(self._look):
            store.add(_key(own), 1)
            for node in others:
                count = store.add(_key(node), 0)
                silent[node] = silent[node] + 1 if count == counts[node] else 0
                counts[node] = count
                if silent[node] >= self._silent_looks:
                    return node
        return None

    def _end_ranks(self, lost: int) -> None:
        """Each with its failure, which it can no longer tell. Those that have told another one keep it."""
        told = {failure.rank for failure in read_failure_records(self._scratch)}
        for rank, pid in self._ranks().items():
            if rank not in told:
                write_failure_record(self._scratch, _failure(lost, rank))
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def _failure(lost: int, rank: int) -> Failure:
    message = f"node {lost} is gone: its launcher does not answer any more, and rank {rank} waits for its ranks"
    return Failure(cause=Cause.PEER_LOST, message=message, remedy=CAUSE_FACTS[Cause.PEER_LOST].remedy, rank=rank)


def _key(node: int) -> str:
    return f"alive/{node}"
