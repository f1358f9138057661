"""The trainer's errors.

    StageError                    ends the stage with a cause, a message and a remedy
    ├── StorageError              see paft_trainer.storage.errors
    ├── DataInvalid               rows that cannot be trained on
    ├── ConfigInvalid             a field of the job that cannot work
    ├── ArtifactMismatch          files that do not belong together
    ├── Diverged, Collapsed       training that produces nothing usable
    └── StageFailed               any other cause of paft_api.causes

Whether another attempt makes sense is a property of the cause (`CAUSE_FACTS[cause].retryable`), and the cause
is chosen where the error is raised.
"""

from paft_api.causes import CAUSE_FACTS, Cause
from paft_api.report import Finding


class StageError(Exception):
    """Ends a stage. `remedy` defaults to the one of the cause."""

    cause: Cause = Cause.UNKNOWN
    findings: tuple[Finding, ...] = ()
    """Single things that are wrong, where more than one was looked for."""

    def __init__(self, message: str, *, remedy: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy if remedy is not None else CAUSE_FACTS[self.cause].remedy


class StageFailed(StageError):
    """A failure whose cause is given by the raiser."""

    def __init__(self, cause: Cause, message: str, *, remedy: str | None = None) -> None:
        self.cause = cause
        super().__init__(message, remedy=remedy)


class DataInvalid(StageError):
    """A data file does not have the form its `format` promises."""

    cause = Cause.DATA_INVALID


class ConfigInvalid(StageError):
    """A field of the job cannot work with this base, data or machine."""

    cause = Cause.CONFIG_INVALID


class ArtifactMismatch(StageError):
    """Files do not belong together, or are not what their manifest says."""

    cause = Cause.ARTIFACT_MISMATCH


class Diverged(StageError):
    """The loss or a gradient is NaN or infinite."""

    cause = Cause.DIVERGED


class Collapsed(StageError):
    """The adapter's ΔW is zero although training goes on."""

    cause = Cause.COLLAPSED
