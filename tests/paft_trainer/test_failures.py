"""Exceptions and the causes they stand for. Messages of gloo and CUDA are recorded ones."""

import errno

import pytest

from paft_api.causes import Cause
from paft_trainer.errors import Diverged
from paft_trainer.failures import classify

RECORDED = {
    Cause.PEER_LOST: RuntimeError(
        "[/pytorch/third_party/gloo/gloo/transport/tcp/pair.cc:547] Connection closed by peer [127.0.0.1]:53482"
    ),
    Cause.COLLECTIVE_TIMEOUT: RuntimeError(
        "[/pytorch/third_party/gloo/gloo/transport/tcp/unbound_buffer.cc:81] Timed out waiting 1800000ms for recv"
    ),
    Cause.CUDA_OOM: RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    Cause.HOST_OOM: RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate"),
    Cause.CONFIG_INVALID: ValueError(
        "1 validation error for DeepSpeedZeroConfig\nnonsense\n  Extra inputs are not permitted [type=extra_forbidden]"
    ),
    Cause.DISK_FULL: OSError(errno.ENOSPC, "No space left on device"),
    Cause.UNKNOWN: KeyError("surprise"),
}


@pytest.mark.parametrize(("cause", "error"), RECORDED.items())
def test_library_errors_have_a_cause(cause: Cause, error: Exception) -> None:
    failure = classify(error, rank=1)
    assert (failure.cause, failure.rank) == (cause, 1)
    assert str(error) in failure.message
    assert failure.remedy


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
