"""Folders for tests that become other users."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """One that every user gets to. Not below pytest's own, which each new run closes to others."""
    with tempfile.TemporaryDirectory(prefix="paft-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder
