"""What ends an estimate."""


class CannotEstimate(ValueError):
    """The base or the job is none that the formulas know. `remedy`: what to do."""

    def __init__(self, message: str, *, remedy: str) -> None:
        super().__init__(message)
        self.remedy = remedy
