"""Collects what is wrong, so that one run tells all of it."""

from collections.abc import Iterator
from contextlib import contextmanager

from paft_api.causes import CAUSE_FACTS
from paft_api.report import Finding
from paft_trainer.errors import StageError
from paft_trainer.failures import shortened
from paft_trainer.storage import StorageUnavailable

MAXIMUM_FINDINGS = 64


class PreparationFailed(StageError):
    """One or more findings. The cause is that of the first permanent one."""

    def __init__(self, findings: tuple[Finding, ...]) -> None:
        first = next((finding for finding in findings if not CAUSE_FACTS[finding.cause].retryable), findings[0])
        self.cause = first.cause
        self.findings = findings
        super().__init__("\n".join(f"{finding.field}: {finding.message}" for finding in findings), remedy=first.remedy)


class Findings:
    """The list of findings so far."""

    def __init__(self) -> None:
        self._found: list[Finding] = []

    @contextmanager
    def of(self, field: str) -> Iterator[None]:
        """Turn a StageError of the block into a finding about `field`.

        A store that does not answer ends the preparation at once: each further check would wait as long again.
        """
        try:
            yield
        except StorageUnavailable as error:
            self.add(field, error)
            self.raise_if_any()
        except StageError as error:
            self.add(field, error)

    def add(self, field: str, error: StageError) -> None:
        """Note an error; the same message about a second field is left out."""
        finding = Finding(
            cause=error.cause, field=field, message=shortened(error.message), remedy=shortened(error.remedy)
        )
        if all(other.message != finding.message for other in self._found) and len(self._found) < MAXIMUM_FINDINGS:
            self._found.append(finding)

    def raise_if_any(self) -> None:
        """Raise PreparationFailed if anything is wrong."""
        if self._found:
            raise PreparationFailed(tuple(self._found))
