"""The operator's errors.

ClusterError
├── ApiError             an answer of the API server that is no success
├── ApiUnreachable       no answer: refused, reset, timed out or cut off
├── DefinitionTooOld     the CustomResourceDefinition lacks fields of this operator
├── NotLeading           this process may not write any more
├── ForeignObject        an object that should be ours is somebody else's
├── JobSetMissing        the spec asks for JobSets, and JobSet is not installed
└── Outdated             what was decided on is no longer what is there; decide again
"""


class ClusterError(Exception):
    """Any of them. `retry_after`: seconds for which the server asked to be left alone; 0 where it did not."""

    retry_after: float = 0.0


class ApiError(ClusterError):
    """An answer of the API server that is no success. `str()` is what the server said."""

    def __init__(self, status: int, *, reason: str, message: str, retry_after: float = 0.0) -> None:
        super().__init__(message or reason or f"HTTP {status}")
        self.status = status
        self.reason = reason
        self.retry_after = retry_after

    @property
    def is_not_found(self) -> bool:
        """No such object."""
        return self.status == 404

    @property
    def is_conflict(self) -> bool:
        """It exists already, or has changed."""
        return self.status == 409

    @property
    def is_transient(self) -> bool:
        """The same request may succeed a moment later."""
        return (self.status == 429 or self.status >= 500) and not self.is_unknown_field

    @property
    def is_unknown_field(self) -> bool:
        """What was applied has a field that the schema does not have; told as an error of the server (500)."""
        return "field not declared in schema" in str(self)

    @property
    def is_refusal(self) -> bool:
        """The request itself is not accepted: by a quota, an admission policy, missing rights or validation."""
        return self.status in (400, 403, 413, 422)


class ApiUnreachable(ClusterError):
    """No answer: refused, reset, timed out or cut off."""


class DefinitionTooOld(ClusterError):
    """The CustomResourceDefinition lacks fields of this operator. `detail`: what the API server said."""

    def __init__(self, detail: str) -> None:
        super().__init__(
            f"the CustomResourceDefinition is older than this operator; apply the one that came with it ({detail})"
        )


class NotLeading(ClusterError):
    """This process may not write any more."""

    def __init__(self) -> None:
        super().__init__("this process does not hold the Lease")


class ForeignObject(ClusterError):
    """An object that should be ours is somebody else's."""

    def __init__(self, kind: str, name: str) -> None:
        super().__init__(f"{kind} {name} exists and is not this PaftJob's; delete or rename it")


class JobSetMissing(ClusterError):
    """The spec asks for JobSets, and JobSet is not installed."""

    def __init__(self) -> None:
        super().__init__(
            "scheduling needs JobSet, whose API jobset.x-k8s.io/v1alpha2 is not served here: install JobSet, or use "
            "scheduling.backend jobs with admission PerArm"
        )


class Outdated(ClusterError):
    """What was decided on is no longer what is there; decide again."""
