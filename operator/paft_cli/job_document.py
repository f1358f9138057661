"""A PaftJob as the API server, or a local job's folder, has it."""

from dataclasses import dataclass
from enum import Enum
from typing import Any

from pydantic import ValidationError
from pydantic_core import to_json

from paft_api.labels import RETRY
from paft_api.status import MAXIMUM_RETRY_TOKEN, ConditionType, PaftJobStatus, StageState
from paft_cli.errors import CommandError


class JobEnd(Enum):
    """How a job ended."""

    SUCCEEDED = "Succeeded"
    FAILED = "Failed"


@dataclass(frozen=True, kw_only=True, slots=True)
class JobDocument:
    """What commands need of a PaftJob. `document`: all of it, as programs get it."""

    document: dict[str, Any]
    status: PaftJobStatus

    @property
    def name(self) -> str:
        """metadata.name."""
        return str(self.document["metadata"]["name"])

    @property
    def uid(self) -> str:
        """metadata.uid."""
        return str(self.document["metadata"]["uid"])

    @property
    def generation(self) -> int:
        """metadata.generation."""
        return int(self.document["metadata"]["generation"])

    @property
    def is_suspended(self) -> bool:
        """spec.runPolicy.suspend."""
        return bool(self.document["spec"].get("runPolicy", {}).get("suspend", False))

    @property
    def is_current(self) -> bool:
        """Whether status speaks of this generation."""
        return self.status.observed_generation == self.generation

    @property
    def awaits_retry(self) -> bool:
        """Whether a retry was asked for that has not begun."""
        token = self.document["metadata"].get("annotations", {}).get(RETRY)
        return token is not None and token[:MAXIMUM_RETRY_TOKEN] != self.status.retry_token

    @property
    def end(self) -> JobEnd | None:
        """How this generation ended; None while it has not."""
        if not self.is_current:
            return None
        if self.says(ConditionType.SUCCEEDED):
            return JobEnd.SUCCEEDED
        if self.says(ConditionType.FAILED):
            return None if self.awaits_retry else JobEnd.FAILED
        # An invalid spec is no failed job, but nothing new begins; what was running goes on.
        is_running = any(stage.state is StageState.RUNNING for stage in self.status.stages)
        return JobEnd.FAILED if self.says(ConditionType.STALLED) and not is_running else None

    def says(self, type_: ConditionType) -> bool:
        """Whether a condition is true."""
        condition = self.status.condition(type_)
        return condition is not None and condition.status == "True"


def read_job_document(document: dict[str, Any]) -> JobDocument:
    """Raises CommandError for a status that this version cannot read."""
    metadata = {key: value for key, value in document["metadata"].items() if key != "managedFields"}
    try:
        status = PaftJobStatus.model_validate_json(to_json(document.get("status", {})))
    except ValidationError as error:
        raise CommandError(
            f"the status of PaftJob {metadata['name']} cannot be read by this version of paft "
            f"({error.errors()[0]['loc']}: {error.errors()[0]['msg']}); install the operator's version of paft, "
            f"or use kubectl get paftjob {metadata['name']} --output yaml"
        ) from error
    return JobDocument(document=document | {"metadata": metadata}, status=status)
