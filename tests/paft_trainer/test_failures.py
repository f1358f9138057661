"""Exceptions and the causes they stand for: those that a machine without a GPU can raise, and recorded messages."""

import errno
import json
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from tests.paft_trainer.recorded_messages import CUDA_AND_NCCL, RecordedMessage
from tests.ranks import run_on_ranks

from paft_api.causes import Cause
from paft_trainer.errors import Diverged
from paft_trainer.failures import classify

LIBRARY_ERRORS = {
    Cause.CONFIG_INVALID: ValueError(
        "1 validation error for DeepSpeedZeroConfig\nnonsense\n  Extra inputs are not permitted [type=extra_forbidden]"
    ),
    Cause.DISK_FULL: OSError(errno.ENOSPC, "No space left on device"),
    Cause.UNKNOWN: KeyError("surprise"),
}


@pytest.mark.parametrize(("cause", "error"), LIBRARY_ERRORS.items())
def test_library_errors_have_a_cause(cause: Cause, error: Exception) -> None:
    failure = classify(error, rank=1)
    assert (failure.cause, failure.rank) == (cause, 1)
    assert str(error) in failure.message
    assert failure.remedy


@pytest.mark.parametrize("message", CUDA_AND_NCCL, ids=lambda message: f"{message.cause} {message.source}")
def test_a_replayed_message_of_cuda_or_nccl_has_its_cause(message: RecordedMessage) -> None:
    error = type(message.kind, (RuntimeError,), {})(message.text)
    failure = classify(error, rank=1)
    assert failure.cause is message.cause
    assert failure.message == f"{message.kind}: {message.text}"


def test_memory_that_the_host_does_not_have_is_told_as_such() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(10**15)
    assert classify(caught.value).cause is Cause.HOST_OOM


@pytest.mark.slow
def test_a_peer_that_does_not_come_and_one_that_ends_are_told_apart(tmp_path: Path) -> None:
    """By gloo itself: rank 1 does not take part for longer than the time that is given, and then ends."""
    run_on_ranks(_wait_in_vain, None, ranks=2, directory=tmp_path)
    told = json.loads((tmp_path / "told.json").read_text())
    assert [cause for cause, _ in told] == [Cause.COLLECTIVE_TIMEOUT, Cause.PEER_LOST], told


def _wait_in_vain(_: Any, directory: Path) -> None:
    dist.init_process_group("gloo")
    # Rank 1 gets it all and ends: its process, and with it its connections, go without a word.
    short = dist.new_group(timeout=timedelta(seconds=1))
    if dist.get_rank() == 1:
        time.sleep(2)
        return
    told = []
    for group in (short, None):
        try:
            dist.all_reduce(torch.ones(1), group=group)
        except RuntimeError as error:
            told.append((classify(error).cause, str(error)))
    (directory / "told.json").write_text(json.dumps(told))


def test_our_errors_keep_their_cause_message_and_remedy() -> None:
    failure = classify(Diverged("the loss at step 3 is nan", remedy="Lower it."))
    assert (failure.cause, failure.message, failure.remedy) == (
        Cause.DIVERGED,
        "the loss at step 3 is nan",
        "Lower it.",
    )


def test_names_of_files_that_are_no_text_do_not_break_a_report() -> None:
    failure = classify(ValueError("no such thing: caf\udce9.jsonl"))
    assert failure.message == r"ValueError: no such thing: caf\udce9.jsonl"
    assert failure.to_json().encode()


def test_long_messages_are_cut_to_what_a_report_holds() -> None:
    assert len(classify(ValueError("x" * 10_000)).message) <= 2048
