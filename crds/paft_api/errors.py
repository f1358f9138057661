"""The contract's errors.

JobFileInvalid      a job file that cannot be run; holds every finding at once
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class JobFileFinding:
    """One thing wrong in a job file.

    `line` and `column` count from 1; both are None where there is no place, as for a missing file. `path`: the field in
    the document's spelling, such as `spec.sft.data.train[0].format`; empty for the whole file.
    """

    line: int | None
    column: int | None
    path: str
    message: str

    def render(self, file: str) -> str:
        """One line for people."""
        place = file if self.line is None else f"{file}:{self.line}:{self.column}"
        return f"{place}: {self.path}: {self.message}" if self.path else f"{place}: {self.message}"


class JobFileInvalid(ValueError):
    """A job file that cannot be run. `str()` is what a person should read."""

    def __init__(self, file: str, findings: Sequence[JobFileFinding]) -> None:
        self.file = file
        self.findings = tuple(findings)
        super().__init__("\n".join(finding.render(file) for finding in findings))
