"""Which failure of a node is told, from what its ranks left behind and what the elastic agent knows."""

from pathlib import Path

from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure

from paft_api.causes import CAUSE_FACTS, Cause
from paft_api.report import Failure
from paft_trainer.launching.failure_records import record_return, write_failure_record
from paft_trainer.launching.first_failure import first_failure, own_failure
from paft_trainer.out_of_memory import OutOfMemoryCounter

RANKS = range(2, 4)
"""Of the second of two nodes."""


def left(scratch: Path, rank: int, cause: Cause) -> Failure:
    failure = Failure(cause=cause, message=f"rank {rank}", remedy=CAUSE_FACTS[cause].remedy, rank=rank)
    write_failure_record(scratch, failure)
    return failure


def told(scratch: Path, *, rank: int, exit_code: int) -> Failure:
    """`rank`, `exit_code`: of the process that the agent saw first."""
    seen = ProcessFailure(local_rank=rank - RANKS.start, pid=1, exitcode=exit_code, error_file="none")
    return first_failure(scratch, RANKS, ChildFailedError("rank", {rank: seen}), OutOfMemoryCounter.of_this_container())


def test_a_rank_without_a_record_was_killed_and_the_others_lost_it(tmp_path: Path) -> None:
    left(tmp_path, 2, Cause.PEER_LOST)
    failure = told(tmp_path, rank=2, exit_code=CAUSE_FACTS[Cause.PEER_LOST].exit_code)
    assert (failure.cause, failure.rank) == (Cause.UNKNOWN, 3)
    assert failure.message == "rank 3 ended without a word; it was probably killed"


def test_a_rank_that_had_returned_was_not_killed_where_another_lost_a_node_at_its_end(tmp_path: Path) -> None:
    lost = left(tmp_path, 2, Cause.PEER_LOST)
    record_return(tmp_path, 3)
    assert told(tmp_path, rank=2, exit_code=CAUSE_FACTS[Cause.PEER_LOST].exit_code) == lost


def test_a_rank_that_is_killed_after_it_had_returned_is_told_where_nobody_else_failed(tmp_path: Path) -> None:
    record_return(tmp_path, 2)
    record_return(tmp_path, 3)
    failure = told(tmp_path, rank=3, exit_code=-9)
    assert (failure.cause, failure.rank) == (Cause.UNKNOWN, 3)
    assert failure.message == "rank 3 ended by SIGKILL; it was probably killed"


def test_what_a_rank_did_itself_comes_before_the_peers_that_others_lost(tmp_path: Path) -> None:
    left(tmp_path, 2, Cause.PEER_LOST)
    diverged = left(tmp_path, 3, Cause.DIVERGED)
    assert told(tmp_path, rank=2, exit_code=1) == own_failure(tmp_path) == diverged
