"""When a training did what: what the measured processes tell."""

from statistics import median

from paft_api.model import Model


class Timeline(Model):
    """One training on one rank. Instants are seconds of the wall clock."""

    started: float
    """When its process was asked for."""
    imported: float
    """When its libraries were there."""
    steps: list[float]
    """When each optimizer step was done."""
    tokens: int
    """That the model was given, padding left out."""
    computed_tokens: int
    """The same with padding."""
    save_stall: float | None = None
    """Seconds for which a checkpoint made training stand still, in the mean of all; unset where none was saved."""

    @property
    def seconds_per_step(self) -> float:
        """Median over all steps but the first, which allocates."""
        return median(after - before for before, after in zip(self.steps, self.steps[1:], strict=False))

    @property
    def padding(self) -> float:
        """Share of the computed tokens that are padding."""
        return 1 - self.tokens / self.computed_tokens
