"""For what only looks at a base and at rows, and computes nothing."""

import os


def use_no_accelerator() -> None:
    """Before anything of training is imported: DeepSpeed comes with it, looks for a GPU, and tells on stdout that it
    has found none, where commands print what they found."""
    os.environ.setdefault("DS_ACCELERATOR", "cpu")
