"""DELLA: small entries of a row are dropped more often than large ones, then signs are elected (arXiv 2406.11617)."""

from dataclasses import dataclass

from paft_trainer.merge.dropping import Dropping
from paft_trainer.merge.methods.dare_ties import DareTies


@dataclass(frozen=True)
class Della(DareTies):
    """Each entry stays with a probability from density − epsilon to density + epsilon, by its rank in its row."""

    @property
    def dropping(self) -> Dropping:
        """By rank."""
        return Dropping.of(self.options, by_rank=True)
