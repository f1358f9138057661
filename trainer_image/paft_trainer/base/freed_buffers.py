"""What becomes of large buffers that many threads free."""

import ctypes
import platform
from collections.abc import Iterator
from contextlib import contextmanager

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_BUFFER_BYTES = 1024 * 1024
_USUAL_BYTES = 32 * 1024 * 1024
"""Where glibc's own threshold ends up once buffers of that size were freed; it trims at twice as much."""


@contextmanager
def freed_buffers_given_back() -> Iterator[None]:
    """For as long as this lasts, let the C library give buffers of 1 MiB and more back to the kernel (mallopt(3)).

    glibc keeps up to 64 MiB for each of its arenas, of which threads have different ones: what a dozen threads have
    freed stays in the process, though none of it is in use. Faulting buffers in anew costs a fifth of the rate at which
    a store is read, so that this is for slower work only. Only glibc is known to do so.
    """
    if platform.libc_ver()[0] != "glibc":
        yield
        return
    library = ctypes.CDLL(None)
    library.mallopt(_M_MMAP_THRESHOLD, _BUFFER_BYTES)
    try:
        yield
    finally:
        library.mallopt(_M_MMAP_THRESHOLD, _USUAL_BYTES)
        library.mallopt(_M_TRIM_THRESHOLD, 2 * _USUAL_BYTES)
