"""Bytes of a checkpoint into tensors that train, converted to their dtype on the way."""

from dataclasses import dataclass

import numpy as np
import torch

DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
    "F8_E8M0": torch.float8_e8m0fnu,
    "C64": torch.complex64,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U64": torch.uint64,
    "U32": torch.uint32,
    "U16": torch.uint16,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
"""By safetensors' words."""

STAGED_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class Destination:
    """Where a tensor's bytes from `start` to before `stop` go on this rank.

    `values`: one-dimensional, in the dtype and on the device of training; the last ones may be padding. `dtype`: of the
    checkpoint.
    """

    values: torch.Tensor
    start: int
    stop: int
    dtype: torch.dtype


class Filler:
    """Copies bytes through one small buffer, so that neither conversion nor device needs a copy of its own."""

    def __init__(self, device: torch.device) -> None:
        self._staged = torch.empty(STAGED_BYTES, dtype=torch.uint8, pin_memory=device.type == "cuda")
        self._bytes = self._staged.numpy()

    def fill(self, destination: Destination, start: int, content: memoryview) -> None:
        """Take over what is held here of a tensor's bytes from `start` on, rounded as `torch.Tensor.to` does."""
        first, after = max(start, destination.start), min(start + len(content), destination.stop)
        source = np.frombuffer(content, dtype=np.uint8)
        values = destination.values
        if first >= after:
            return
        if values.dtype == destination.dtype and values.device.type == "cpu":
            # torch would start threads for each copy, which costs more than the copy.
            target = values.view(torch.uint8).numpy()
            target[first - destination.start : after - destination.start] = source[first - start : after - start]
            return
        for position in range(first, after, STAGED_BYTES):
            chunk = source[position - start : min(position + STAGED_BYTES, after) - start]
            self._bytes[: len(chunk)] = chunk
            element = (position - destination.start) // destination.dtype.itemsize
            staged = self._staged[: len(chunk)].view(destination.dtype)
            values[element : element + len(staged)].copy_(staged)
