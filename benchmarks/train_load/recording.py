"""Collects a rank's Timeline while it trains."""

import time
from collections.abc import Mapping
from typing import Any

from benchmarks.train_load.timeline import Timeline

from paft_trainer.training.batching.layouts import token_count


class Recording:
    """What has happened so far. Tokens are counted in forward passes with gradients only."""

    def __init__(self, *, started: float, imported: float) -> None:
        self._started, self._imported = started, imported
        self._steps: list[float] = []
        self._tokens = self._computed = 0
        self._save_stall: float | None = None

    def note_step(self) -> None:
        """An optimizer step is done."""
        self._steps.append(time.time())

    def note_pass(self, inputs: Mapping[str, Any]) -> None:
        """A forward pass on these inputs begins."""
        self._tokens += token_count(dict(inputs))
        self._computed += inputs["input_ids"].numel()

    def note_save_stall(self, seconds: float) -> None:
        """So long did training stand still for one checkpoint."""
        self._save_stall = seconds

    @property
    def timeline(self) -> Timeline:
        """All of it."""
        return Timeline(
            started=self._started,
            imported=self._imported,
            steps=self._steps,
            tokens=self._tokens,
            computed_tokens=self._computed,
            save_stall=self._save_stall,
        )
