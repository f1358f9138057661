"""status: what is so. Conditions are the truth; `phase` is derived from them, for people."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from paft_api.causes import Cause
from paft_api.model import ArmWarning, Digest, FolderUri, Model
from paft_api.stage_time import StageTime
from paft_api.stages import StageName

Message = Annotated[str, StringConstraints(max_length=4096)]
ShortText = Annotated[str, StringConstraints(max_length=64)]

MAXIMUM_RETRY_TOKEN = 64
"""Characters of a retry token that count; longer ones are cut."""


class ConditionType(StrEnum):
    """Condition types, in metav1 form."""

    VALIDATED = "Validated"
    SFT_SUCCEEDED = "SftSucceeded"
    PREFERENCE_SUCCEEDED = "PreferenceSucceeded"
    MERGED = "Merged"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    SUSPENDED = "Suspended"
    QUEUED = "Queued"
    RECONCILING = "Reconciling"
    STALLED = "Stalled"


class Condition(Model):
    """One condition (metav1.Condition)."""

    type: ConditionType
    """What is stated."""

    status: Literal["True", "False", "Unknown"]
    """Whether it is so."""

    reason: Annotated[
        str, StringConstraints(min_length=1, max_length=64, pattern=r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$")
    ]
    """Why, as one word; a constant of `paft_api.conditions` or a Cause."""

    message: Message = ""
    """Why, in words, with the remedy where there is one."""

    last_transition_time: datetime
    """When `status` last changed."""

    observed_generation: Annotated[int, Field(ge=1)]
    """Generation of the spec that was judged."""


class Phase(StrEnum):
    """Display only."""

    PENDING = "Pending"
    VALIDATING = "Validating"
    TRAINING = "Training"
    MERGING = "Merging"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    SUSPENDED = "Suspended"


class StageState(StrEnum):
    """State of one stage."""

    PENDING = "Pending"
    RUNNING = "Running"
    WAITING = "Waiting"
    """Between two attempts."""
    STOPPED = "Stopped"
    """Asked to stop; can be continued."""
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"


class StageStatus(Model):
    """One stage, as far as the reports tell. Numbers that are fractions are texts, as Kubernetes wants them."""

    name: StageName
    """Stage."""

    state: StageState = StageState.PENDING
    """State."""

    digest: Digest | None = None
    """Stage digest: what the result depends on."""

    attempt: Annotated[int, Field(ge=0)] = 0
    """Number of the newest attempt, from 1; 0 before the first and for work found finished."""

    failures: Annotated[int, Field(ge=0)] = 0
    """Failed attempts that count against runPolicy.backoffLimit."""

    forgiven_attempt: Annotated[int, Field(ge=0)] = 0
    """Attempts up to this number do not count any more: a retry was asked for after them."""

    artifact_uri: FolderUri | None = None
    """Folder of the finished artifact."""

    artifact_digest: Digest | None = None
    """Digest over the finished artifact's files."""

    step: Annotated[int, Field(ge=0)] | None = None
    """Optimizer steps done."""

    total_steps: Annotated[int, Field(ge=0)] | None = None
    """Optimizer steps in all."""

    progress: ShortText | None = None
    """step/totalSteps."""

    loss: ShortText | None = None
    """Last training loss, without the penalty."""

    sparsity: ShortText | None = None
    """SFT: share of ΔW entries below 1e-5, at the last evaluation."""

    reward_margin: ShortText | None = None
    """Preference: last reward margin."""

    tokens_per_second: ShortText | None = None
    """Tokens per second over all processes."""

    eta: ShortText | None = None
    """Time left, such as 1h12m."""

    cause: Cause | None = None
    """Cause of the newest failed attempt."""

    message: Message = ""
    """What it is doing, or why it failed, with the remedy."""

    warnings: Annotated[tuple[ArmWarning, ...], Field(max_length=8)] = ()
    """What the newest attempt cannot do as the job asks for."""

    goodput: Annotated[str, StringConstraints(max_length=8)] | None = None
    """Share of time.train in all of `time`, such as 87%."""

    time: StageTime | None = None
    """Where the stage's seconds went, up to the newest report; unset for work found finished."""

    ended_time: StageTime | None = None
    """The same up to the end of the newest attempt that has ended: the running one's seconds are added to these."""

    started_at: datetime | None = None
    """Start of the newest attempt."""

    finished_at: datetime | None = None
    """End of the stage."""

    retry_at: datetime | None = None
    """When the next attempt starts, in state Waiting."""

    def tells_end_of(self, attempt: int) -> bool:
        """Whether an attempt was said to have ended without a result of the stage, and another may follow."""
        return self.state in (StageState.WAITING, StageState.STOPPED) and attempt <= self.attempt


class BaseStatus(Model):
    """The base checkpoint as prepare found it."""

    digest: Digest
    """Over tensors (name, dtype, shape, SHA-256), config and tokenizer files."""


class OutputStatus(Model):
    """The published checkpoint."""

    uri: FolderUri
    """Folder."""

    digest: Digest
    """Digest over its files."""

    method: ShortText
    """Merge method."""

    bytes: Annotated[int, Field(ge=0)]
    """Size in bytes."""


class PaftJobStatus(Model):
    """What is so, as of observedGeneration."""

    observed_generation: Annotated[int, Field(ge=0)] = 0
    """Generation that this status speaks of; 0 before the first."""

    phase: Phase = Phase.PENDING
    """Display only."""

    conditions: Annotated[tuple[Condition, ...], Field(max_length=16)] = ()
    """The truth."""

    eta: ShortText | None = None
    """Time until both arms are trained."""

    merge_method: ShortText | None = None
    """spec.merge.method, with the default worked out."""

    base: BaseStatus | None = None
    """The base checkpoint."""

    stages: Annotated[tuple[StageStatus, ...], Field(max_length=8)] = ()
    """One entry per stage, in order."""

    output: OutputStatus | None = None
    """The published checkpoint."""

    started_at: datetime | None = None
    """When the first attempt started."""

    retry_token: Annotated[str, StringConstraints(max_length=MAXIMUM_RETRY_TOKEN)] | None = None
    """Value of the annotation paft.dev/retry that was acted on last."""

    active_seconds: Annotated[float, Field(ge=0)] = 0.0
    """Seconds with an attempt running, summed over finished attempts of this generation."""

    def stage(self, name: StageName) -> StageStatus:
        """The entry of one stage; a pending one where there is none yet."""
        return next((stage for stage in self.stages if stage.name is name), StageStatus(name=name))

    def condition(self, type_: ConditionType) -> Condition | None:
        """The condition of one type."""
        return next((condition for condition in self.conditions if condition.type is type_), None)
