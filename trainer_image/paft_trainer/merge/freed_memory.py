"""What becomes of memory that is freed between one block and the next."""

import ctypes
import platform

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_MMAP_BYTES = 64 * 1024 * 1024
_TRIM_BYTES = 128 * 1024 * 1024


def keep_freed_memory() -> None:
    """Let the C library use freed blocks again (mallopt(3)), where it would give each back to the kernel.

    Arrays of a block are larger than what it keeps by default: every one of them would be mapped, zeroed by the kernel
    and faulted in anew. Only glibc is known to do so.
    """
    if platform.libc_ver()[0] == "glibc":
        library = ctypes.CDLL(None)
        library.mallopt(_M_MMAP_THRESHOLD, _MMAP_BYTES)
        library.mallopt(_M_TRIM_THRESHOLD, _TRIM_BYTES)
