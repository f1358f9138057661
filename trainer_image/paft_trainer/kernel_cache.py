"""Where Numba keeps what it has compiled."""

import os
from pathlib import Path

VARIABLE = "NUMBA_CACHE_DIR"


def keep_kernels_in(cache_directory: Path) -> None:
    """Have Numba keep compiled kernels in a folder of their own there, unless the environment names another one.

    To be called before anything imports Numba, which reads the variable once. Without it Numba wants to write beside
    the source or into HOME, and kernels cannot even be imported where a pod can write to neither.
    """
    os.environ.setdefault(VARIABLE, str(cache_directory / "kernels"))


def has_kernels() -> bool:
    """Whether anything was kept in the folder that the environment names, or none is named."""
    folder = os.environ.get(VARIABLE)
    return folder is None or any(Path(folder).glob("*/*.nbi"))
