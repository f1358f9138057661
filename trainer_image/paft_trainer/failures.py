"""From an exception to a Failure: which cause of paft_api.causes it is.

Errors of our own carry their cause. For those of libraries the text is all there is: gloo and NCCL raise
RuntimeErrors that differ in their messages only.
"""

import errno
import re

from paft_api.causes import CAUSE_FACTS, Cause
from paft_api.report import Failure
from paft_trainer.errors import StageError

_MESSAGE_PATTERNS: tuple[tuple[Cause, re.Pattern[str]], ...] = (
    (
        Cause.CUDA_OOM,
        re.compile(
            r"CUDA out of memory|CUBLAS_STATUS_ALLOC_FAILED|CUDA error: out of memory"
            # NCCL's own buffers; torch passes on its last warning.
            r"|Cuda failure (\d+ )?'out of memory'|Failed to CUDA calloc"
        ),
    ),
    (
        Cause.COLLECTIVE_TIMEOUT,
        re.compile(r"Timed out waiting|Watchdog caught collective operation timeout|wait timeout after", re.IGNORECASE),
    ),
    (
        Cause.PEER_LOST,
        re.compile(
            r"Connection closed by peer|Connection reset by peer|Broken pipe|Connection refused|remote process exited"
            r"|Socket Timeout|failed to recv",
            re.IGNORECASE,
        ),
    ),
    (Cause.HOST_OOM, re.compile(r"DefaultCPUAllocator: (can't allocate memory|not enough memory)")),
    # Settings of training.deepspeed that DeepSpeed does not take.
    (Cause.CONFIG_INVALID, re.compile(r"validation errors? for DeepSpeed")),
)


def classify(error: BaseException, *, rank: int | None = None) -> Failure:
    """The Failure that an exception stands for. Total: what nobody knows is `Unknown`."""
    if isinstance(error, StageError):
        return Failure(
            cause=error.cause,
            message=shortened(error.message),
            remedy=shortened(error.remedy),
            rank=rank,
            findings=error.findings,
        )
    cause = _cause_of(error)
    text = f"{type(error).__name__}: {error}"
    return Failure(cause=cause, message=shortened(text), remedy=CAUSE_FACTS[cause].remedy, rank=rank)


def _cause_of(error: BaseException) -> Cause:
    if isinstance(error, MemoryError):
        return Cause.HOST_OOM
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return Cause.DISK_FULL
    text = f"{type(error).__name__}: {error}"
    if type(error).__name__ == "OutOfMemoryError":
        return Cause.CUDA_OOM
    return next((cause for cause, pattern in _MESSAGE_PATTERNS if pattern.search(text)), Cause.UNKNOWN)


def shortened(text: str) -> str:
    """As much of a text as a report holds, always valid UTF-8."""
    text = text.encode(errors="backslashreplace").decode()
    return text if len(text) <= 2000 else text[:1990] + " […]"
