"""How kernels are compiled: at their first call; kept in NUMBA_CACHE_DIR, else beside the source."""

import numba

kernel = numba.njit(nogil=True, cache=True, boundscheck=False, error_model="numpy")
inlined = numba.njit(nogil=True, cache=True, boundscheck=False, error_model="numpy", inline="never")
"""For functions of single numbers, which LLVM puts where they are called."""
