"""A tiny base with data, and an arm on it that nothing interrupts."""

from pathlib import Path

import pytest
from tests.paft_trainer.launched_arms import Attempt
from tests.run_specs import write_sums
from tests.tiny_models import build_checkpoint

from paft_api.causes import EXIT_SUCCEEDED


@pytest.fixture(scope="session")
def arm_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Holds base, chats.jsonl, pairs.jsonl, and the artifacts of all arms."""
    root = tmp_path_factory.mktemp("arms")
    build_checkpoint(root / "base")
    write_sums(root)
    return root


@pytest.fixture(scope="session")
def unbroken(arm_root: Path) -> Attempt:
    """Two ranks on one node, without any interruption."""
    attempt = Attempt(arm_root, "unbroken", 1).start()
    assert attempt.end() == EXIT_SUCCEEDED
    return attempt
