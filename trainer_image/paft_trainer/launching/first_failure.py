"""Which failure of a node's ranks came first, and so ended the attempt."""

import signal
from collections.abc import Set
from pathlib import Path

from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

from paft_api.causes import CAUSE_FACTS, Cause, cause_of_exit_code
from paft_api.report import Failure
from paft_trainer.launching.failure_records import read_failure_records, read_returned_ranks
from paft_trainer.out_of_memory import OutOfMemoryCounter


def first_failure(scratch: Path, ranks: range, error: ChildFailedError, counter: OutOfMemoryCounter) -> Failure:
    """The earliest record that is not of a lost peer, else a rank that left none, else the earliest.

    `scratch`: the attempt's. `ranks`: those of this node. `error`: what the elastic agent knows.
    A rank that is killed leaves no record; the others then lose their peer, and may end before it is noticed. One that
    had returned was ended here, when another one lost its peer at its own end.
    """
    own = own_failure(scratch)
    if own is not None:
        return own
    failures = read_failure_records(scratch)
    silent = set(ranks) - {failure.rank for failure in failures}
    if failures:
        silent -= read_returned_ranks(scratch)
    return _silent_death(silent, error, counter) if silent else failures[0]


def own_failure(scratch: Path) -> Failure | None:
    """The earliest record that is not of a lost peer."""
    return next((failure for failure in read_failure_records(scratch) if failure.cause is not Cause.PEER_LOST), None)


def _silent_death(silent: Set[int], error: ChildFailedError, counter: OutOfMemoryCounter) -> Failure:
    first, process = error.get_first_failure()
    rank = first if first in silent else min(silent)
    cause, message = Cause.UNKNOWN, f"rank {rank} ended without a word; it was probably killed"
    if counter.has_risen():
        cause, message = Cause.HOST_OOM, f"rank {rank} was killed because the container ran out of memory"
    elif rank == first and process.exitcode < 0:
        message = f"rank {rank} ended by {signal.Signals(-process.exitcode).name}; it was probably killed"
    elif rank == first:
        cause = cause_of_exit_code(process.exitcode)
        message = f"rank {rank} ended with exit code {process.exitcode} and without a word"
    return Failure(cause=cause, message=message, remedy=CAUSE_FACTS[cause].remedy, rank=rank)
