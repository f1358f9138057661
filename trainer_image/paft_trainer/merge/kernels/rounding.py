"""base + delta, added in fp32 and rounded once to the base's dtype, to nearest even.

Where the delta is 0 the base's bits stay as they are, -0.0 and NaN included. Each returns (entries whose delta is 0,
entries whose bits stay as they are, entries that are not finite where the base's was).

fp16 is converted by its bits, as there is none on CPU: the way of Maratyszcza's FP16 library, by exact products with
powers of 2 (https://github.com/Maratyszcza/FP16).
"""

import numpy as np

from paft_trainer.merge.kernels.compilation import inlined, kernel


@kernel
def add_to_bf16(base, delta, out):
    """`base`, `out`: bf16 bits as uint16; `delta`: fp32; flat."""
    none, same, bad = np.int64(0), np.int64(0), np.int64(0)
    exponent = np.uint16(0x7F80)
    for j in range(base.size):
        bits = bf16_bits(bf16_value(base[j]) + delta[j])
        bits = bits if delta[j] != np.float32(0) else base[j]
        out[j] = bits
        none += delta[j] == np.float32(0)
        same += bits == base[j]
        bad += ((bits & exponent) == exponent) & ((base[j] & exponent) != exponent)
    return none, same, bad


@kernel
def add_to_fp16(base, delta, out):
    """`base`, `out`: fp16 bits as uint16; `delta`: fp32; flat."""
    none, same, bad = np.int64(0), np.int64(0), np.int64(0)
    exponent = np.uint16(0x7C00)
    for j in range(base.size):
        bits = fp16_bits(fp16_value(base[j]) + delta[j])
        bits = bits if delta[j] != np.float32(0) else base[j]
        out[j] = bits
        none += delta[j] == np.float32(0)
        same += bits == base[j]
        bad += ((bits & exponent) == exponent) & ((base[j] & exponent) != exponent)
    return none, same, bad


@kernel
def add_to_fp32(base, delta, out):
    """`base`, `out`: fp32 bits as uint32; `delta`: fp32; flat."""
    none, same, bad = np.int64(0), np.int64(0), np.int64(0)
    exponent = np.uint32(0x7F800000)
    for j in range(base.size):
        total = np.uint32(base[j]).view(np.float32) + delta[j]
        bits = np.float32(total).view(np.uint32)
        bits = bits if delta[j] != np.float32(0) else base[j]
        out[j] = bits
        none += delta[j] == np.float32(0)
        same += bits == base[j]
        bad += ((bits & exponent) == exponent) & ((base[j] & exponent) != exponent)
    return none, same, bad


@kernel
def decode_bf16(base, out):
    """bf16 bits as uint16 → fp32; flat."""
    for j in range(base.size):
        out[j] = bf16_value(base[j])


@kernel
def decode_fp16(base, out):
    """fp16 bits as uint16 → fp32; flat."""
    for j in range(base.size):
        out[j] = fp16_value(base[j])


@inlined
def bf16_value(bits):
    """fp32 of bf16 bits."""
    return np.uint32(np.uint32(bits) << np.uint32(16)).view(np.float32)


@inlined
def bf16_bits(value):
    """Bits of the nearest bf16, ties to even. NaN stays NaN."""
    wide = np.float32(value).view(np.uint32)
    odd = np.uint32(np.uint32(wide >> np.uint32(16)) & np.uint32(1))
    rounded = np.uint16(np.uint32(wide + np.uint32(0x7FFF) + odd) >> np.uint32(16))
    return rounded if value == value else np.uint16(np.uint16(wide >> np.uint32(16)) | np.uint16(0x0040))


@inlined
def fp16_value(bits):
    """fp32 of fp16 bits."""
    wide = np.uint32(np.uint32(bits) << np.uint32(16))
    sign = np.uint32(wide & np.uint32(0x80000000))
    shifted = np.uint32(wide + wide)
    normal = np.uint32(np.uint32(shifted >> np.uint32(4)) + np.uint32(0x70000000)).view(np.float32) * np.float32(
        2.0**-112
    )
    magic = np.uint32(np.uint32(shifted >> np.uint32(17)) | np.uint32(126 << 23))
    subnormal = magic.view(np.float32) - np.float32(0.5)
    small = shifted < np.uint32(1 << 27)
    magnitude = np.float32(subnormal).view(np.uint32) if small else np.float32(normal).view(np.uint32)
    return np.uint32(sign | magnitude).view(np.float32)


@inlined
def fp16_bits(value):
    """Bits of the nearest fp16, ties to even; what is too large becomes infinite, NaN stays NaN."""
    wide = np.float32(value).view(np.uint32)
    shifted = np.uint32(wide + wide)
    sign = np.uint32(wide & np.uint32(0x80000000))
    scaled = np.float32(np.float32(abs(value) * np.float32(2.0**112)) * np.float32(2.0**-110))
    exponent = np.uint32(shifted & np.uint32(0xFF000000))
    exponent = max(exponent, np.uint32(0x71000000))
    aligned = np.uint32(np.uint32(exponent >> np.uint32(1)) + np.uint32(0x07800000)).view(np.float32)
    rounded = np.float32(aligned + scaled).view(np.uint32)
    magnitude = np.uint32(np.uint32(rounded >> np.uint32(13)) & np.uint32(0x7C00)) + np.uint32(
        rounded & np.uint32(0x0FFF)
    )
    magnitude = np.uint32(0x7E00) if shifted > np.uint32(0xFF000000) else np.uint32(magnitude)
    return np.uint16(np.uint32(sign >> np.uint32(16)) | np.uint32(magnitude))
