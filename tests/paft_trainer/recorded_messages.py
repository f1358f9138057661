"""What CUDA, NCCL and gloo said where other people ran out of memory, waited in vain or lost a peer.

No machine of this project's tests has a GPU, so these messages are replayed. Each is of a public report; NCCL's
warnings are put behind `Last error:`, as torch passes them on.
"""

from dataclasses import dataclass

from paft_api.causes import Cause


@dataclass(frozen=True, kw_only=True, slots=True)
class RecordedMessage:
    """`source`: the report. `kind`: name of the exception's class."""

    cause: Cause
    source: str
    kind: str
    text: str


CUDA_AND_NCCL = (
    RecordedMessage(
        cause=Cause.CUDA_OOM,
        source="https://github.com/pytorch/pytorch/issues/16417",
        kind="OutOfMemoryError",
        text=(
            "CUDA out of memory. Tried to allocate 22.00 MiB. GPU 0 has a total capacity of 23.65 GiB of which 11.06 "
            "MiB is free."
        ),
    ),
    RecordedMessage(
        cause=Cause.CUDA_OOM,
        source="https://github.com/rshaojimmy/MADDoG/issues/11",
        kind="RuntimeError",
        text=(
            "CUDA out of memory. Tried to allocate 2.87 GiB (GPU 0; 14.76 GiB total capacity; 8.77 GiB already "
            "allocated; 19.75 MiB free; 13.71 GiB reserved in total by PyTorch)"
        ),
    ),
    RecordedMessage(
        cause=Cause.CUDA_OOM,
        source="https://github.com/QwenLM/Qwen3/issues/873",
        kind="RuntimeError",
        text="CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
    ),
    RecordedMessage(
        cause=Cause.CUDA_OOM,
        source="https://github.com/NVIDIA/nccl/issues/1235",
        kind="DistBackendError",
        text="Last error:\nCuda failure 'out of memory'",
    ),
    RecordedMessage(
        cause=Cause.CUDA_OOM,
        source="https://github.com/NVIDIA/nccl/issues/1235",
        kind="DistBackendError",
        text="Last error:\nFailed to CUDA calloc 6291456 bytes",
    ),
    RecordedMessage(
        cause=Cause.COLLECTIVE_TIMEOUT,
        source="https://github.com/hiyouga/LlamaFactory/issues/7396",
        kind="DistBackendError",
        text=(
            "[Rank 0] Watchdog caught collective operation timeout: WorkNCCL(SeqNum=1580, OpType=ALLREDUCE, "
            "NumelIn=466119168, NumelOut=466119168, Timeout(ms)=600000) ran for 600060 milliseconds before timing out."
        ),
    ),
    RecordedMessage(
        cause=Cause.COLLECTIVE_TIMEOUT,
        source="https://github.com/open-mmlab/mmdetection/issues/12392",
        kind="RuntimeError",
        text=(
            "NCCL communicator was aborted on rank 1.  Original reason for failure was: [Rank 1] Watchdog caught "
            "collective operation timeout: WorkNCCL(SeqNum=2511984, OpType=ALLREDUCE, Timeout(ms)=1800000) ran for "
            "1809553 milliseconds before timing out."
        ),
    ),
    RecordedMessage(
        cause=Cause.COLLECTIVE_TIMEOUT,
        source="https://github.com/NVIDIA-NeMo/Speech/issues/14399",
        kind="DistBackendError",
        text=(
            "[1] is setting up NCCL communicator and retrieving ncclUniqueId from [0] via c10d key-value store by key "
            "'0', but store->get('0') got error: wait timeout after 600000ms, keys: /default_pg/0//cuda//0"
        ),
    ),
    RecordedMessage(
        cause=Cause.PEER_LOST,
        source="https://github.com/NVIDIA/nccl/issues/2076",
        kind="DistBackendError",
        text=(
            "NCCL error in: /pytorch/torch/csrc/distributed/c10d/NCCLUtils.hpp:268, remote process exited or there was "
            "a network error, NCCL version 2.21.5\nncclRemoteError: A call failed possibly due to a network error or a "
            "remote process exiting prematurely.\nLast error:\nsocketProgressOpt: Call to recv failed : Connection "
            "reset by peer"
        ),
    ),
    RecordedMessage(
        cause=Cause.PEER_LOST,
        source="https://github.com/tatsu-lab/stanford_alpaca/issues/207",
        kind="RuntimeError",
        text=(
            "NCCL error: remote process exited or there was a network error, NCCL version 2.14.3 ncclRemoteError: A "
            "call failed possibly due to a network error or a remote process exiting prematurely."
        ),
    ),
)
