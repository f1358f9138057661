"""Rows that are wrong: each ends the job, or is left out as long as `maxBadRows` allows it."""

from collections.abc import Iterator
from contextlib import contextmanager

from paft_api.causes import Cause
from paft_trainer.errors import StageError, StageFailed

_OF_ROWS = (Cause.DATA_INVALID, Cause.CONFIG_INVALID)
"""Causes of what is wrong with a row: its form, or that the chat template does not take it."""

LONGEST_WARNING = 500
"""Characters, as a report takes them."""

SHOWN = 3
"""Errors that a warning repeats."""


class BadRows:
    """How many rows were left out, and why. `allowed`: data.maxBadRows."""

    def __init__(self, allowed: int = 0) -> None:
        self._allowed = allowed
        self.count = 0
        self.first: list[str] = []

    def allows(self, error: StageError) -> bool:
        """Whether an error is that of a row, and any of these may be left out."""
        return self._allowed > 0 and error.cause in _OF_ROWS

    @contextmanager
    def left_out(self) -> Iterator[None]:
        """Around one row: its error is noted. Raises it where it is one too many, or that of something else."""
        try:
            yield
        except StageError as error:
            if not self.allows(error):
                raise
            self.count += 1
            if self.count > self._allowed:
                raise self._too_many(error) from error
            if len(self.first) < SHOWN:
                self.first.append(error.message)

    def warning(self, what: str) -> str | None:
        """What was left out, in words; None where nothing was. `what`: train or eval."""
        if not self.count:
            return None
        rows = "row is" if self.count == 1 else "rows are"
        more = ", …" if self.count > len(self.first) else ""
        text = f"data.{what}: {self.count} wrong {rows} left out: {'; '.join(self.first)}{more}"
        return text if len(text) <= LONGEST_WARNING else text[: LONGEST_WARNING - 1] + "…"

    def _too_many(self, error: StageError) -> StageError:
        return StageFailed(
            error.cause,
            f"{error.message} (wrong row number {self.count}; data.maxBadRows allows {self._allowed})",
            remedy=f"{error.remedy} Or raise data.maxBadRows.",
        )
