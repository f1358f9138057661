"""Bytes of floating-point tensors as numpy arrays, without torch, whose import takes 200 MB and a second."""

import numpy as np

Matrix = np.ndarray[tuple[int, ...], np.dtype[np.float32]]

FLOATS = ("F64", "F32", "F16", "BF16")
"""What can be decoded, by its name in safetensors."""


def decode_floats(content: bytes | memoryview, dtype: str) -> Matrix:
    """fp32 of a tensor's bytes, flat; a copy. Only F64 is rounded, what is too large for fp32 to infinity."""
    match dtype:
        case "BF16":
            return (np.frombuffer(content, np.uint16).astype(np.uint32) << 16).view(np.float32)
        case "F64":
            with np.errstate(over="ignore"):
                return np.frombuffer(content, np.float64).astype(np.float32)
        case "F16":
            return np.frombuffer(content, np.float16).astype(np.float32)
        case _:
            return np.frombuffer(content, np.float32).copy()


def recoded_floats(content: bytes | memoryview, source: str, target: str) -> bytes | memoryview:
    """The bytes of a tensor in another dtype, rounded to nearest even; what is too large becomes infinite."""
    if source == target:
        return content
    values = decode_floats(content, source)
    match target:
        case "BF16":
            bits = values.view(np.uint32)
            return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16).tobytes()
        case "F64":
            return values.astype(np.float64).tobytes()
        case "F16":
            with np.errstate(over="ignore"):
                return values.astype(np.float16).tobytes()
        case _:
            return values.tobytes()
