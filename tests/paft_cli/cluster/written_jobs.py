"""PaftJobs at a real API server whose status a test writes, in the place of the operator."""

import json
from datetime import UTC, datetime

from hack.control_plane.client import KubernetesClient, Object
from tests.paft_operator.cluster_jobs import PAFT_JOB, minimal_job

from paft_api.causes import Cause
from paft_api.stages import StageName
from paft_api.status import Condition, ConditionType, OutputStatus, PaftJobStatus, Phase, StageState, StageStatus

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
DIGEST = "sha256:" + 64 * "0"


class WrittenJobs:
    """PaftJobs of one namespace."""

    def __init__(self, client: KubernetesClient, namespace: str) -> None:
        self._client = client
        self.namespace = namespace

    def create(self, status: PaftJobStatus | None = None, *, name: str = "tiny", **run_policy: object) -> Object:
        """A PaftJob, with a status if there is one."""
        manifest = minimal_job(name, **run_policy)
        created = self._client.create({**manifest, "metadata": {"name": name, "namespace": self.namespace}})
        return created if status is None else self.write(status, name=name)

    def write(self, status: PaftJobStatus, *, name: str = "tiny") -> Object:
        """Replace the status."""
        document = json.loads(status.to_json())
        return self._client.patch(PAFT_JOB, name, self.namespace, {"status": document}, subresource="status")

    def get(self, name: str = "tiny") -> Object:
        """As it is now."""
        return self._client.get(PAFT_JOB, name, self.namespace)

    def delete(self, name: str = "tiny") -> None:
        """Delete it."""
        self._client.delete(PAFT_JOB, name, self.namespace)


def training(step: int = 4, *, generation: int = 1, **fields: object) -> PaftJobStatus:
    """Prepare is finished, and both arms run. `fields`: more of the status."""
    sft = StageStatus(
        name=StageName.SFT,
        state=StageState.RUNNING,
        attempt=2,
        failures=1,
        step=step,
        total_steps=8,
        progress=f"{step}/8",
        loss="1.5",
        eta="4s",
    )
    preference = sft.model_copy(update={"name": StageName.PREFERENCE, "attempt": 1, "failures": 0, "loss": "0.6"})
    return PaftJobStatus.model_validate(
        {
            "observed_generation": generation,
            "phase": Phase.TRAINING,
            "eta": "4s",
            "stages": (prepared(), sft, preference, StageStatus(name=StageName.MERGE)),
            **fields,
        }
    )


def prepared() -> StageStatus:
    """Prepare, finished."""
    return StageStatus(name=StageName.PREPARE, state=StageState.SUCCEEDED, attempt=1)


def succeeded(*, generation: int = 1) -> PaftJobStatus:
    """Everything is finished."""
    stages = [
        StageStatus(name=name, state=StageState.SUCCEEDED, attempt=1, artifact_uri=f"s3://paft/tiny/{name}/")
        for name in StageName
    ]
    output = OutputStatus(uri="s3://models/tiny-paft/", digest=DIGEST, method="ties", bytes=1_000_000)
    return PaftJobStatus(
        observed_generation=generation,
        phase=Phase.SUCCEEDED,
        stages=tuple(stages),
        output=output,
        conditions=(condition(ConditionType.SUCCEEDED, "JobSucceeded", "Published s3://models/tiny-paft/."),),
    )


def failed(*, generation: int = 1) -> PaftJobStatus:
    """SFT has failed for good, and preference was stopped."""
    message = "pod tiny-sft-2-0 ended with exit code 65: out of memory. Ask for more memory."
    before = training(generation=generation)
    sft = before.stage(StageName.SFT).model_copy(
        update={"state": StageState.FAILED, "cause": Cause.HOST_OOM, "message": message, "failures": 2}
    )
    preference = before.stage(StageName.PREFERENCE).model_copy(update={"state": StageState.STOPPED})
    return before.model_copy(
        update={
            "phase": Phase.FAILED,
            "eta": None,
            "stages": (prepared(), sft, preference, StageStatus(name=StageName.MERGE)),
            "conditions": (
                condition(ConditionType.FAILED, "HostOOM", f"sft: {message}"),
                condition(ConditionType.STALLED, "HostOOM", f"sft: {message}"),
            ),
        }
    )


def condition(type_: ConditionType, reason: str, message: str, *, status: str = "True") -> Condition:
    """A condition of generation 1."""
    return Condition.model_validate(
        {
            "type": type_,
            "status": status,
            "reason": reason,
            "message": message,
            "last_transition_time": NOW,
            "observed_generation": 1,
        }
    )
