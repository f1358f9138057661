"""Rows that are wrong: each ends the job, or is left out as long as `maxBadRows` allows it."""

from collections.abc import Iterator
from contextlib import contextmanager

from paft_trainer.errors import DataInvalid

SHOWN = 3
"""Errors that a warning repeats."""


class BadRows:
    """How many rows were left out, and why. `allowed`: data.maxBadRows."""

    def __init__(self, allowed: int = 0) -> None:
        self._allowed = allowed
        self.count = 0
        self.first: list[str] = []

    @contextmanager
    def left_out(self) -> Iterator[None]:
        """Around one row: its DataInvalid is noted. Raises it where it is one too many."""
        try:
            yield
        except DataInvalid as error:
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
        return f"data.{what}: {self.count} wrong {rows} left out: {'; '.join(self.first)}{more}"

    def _too_many(self, error: DataInvalid) -> DataInvalid:
        if not self._allowed:
            return error
        return DataInvalid(
            f"{error.message} (the {self.count}. wrong row; data.maxBadRows allows {self._allowed})",
            remedy=f"{error.remedy} Or raise data.maxBadRows.",
        )
