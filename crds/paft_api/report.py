"""What a stage reports: one JSON document per attempt, rewritten at most every 5 s and at the end."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from pydantic import Field, StringConstraints

from paft_api.causes import Cause
from paft_api.model import ArmWarning, Digest, DnsLabel, FolderUri, Model
from paft_api.run_spec import StageIdentity
from paft_api.stage_time import AttemptTime, TimePart
from paft_api.stages import StageName

MAXIMUM_TEXT = 2048
"""Characters of a text."""

Text = Annotated[str, StringConstraints(max_length=MAXIMUM_TEXT)]


class Activity(StrEnum):
    """What the stage is doing."""

    STARTING = "Starting"
    CHECKING = "Checking"
    INDEXING = "Indexing"
    LOADING = "Loading"
    COMPUTING_REFERENCE = "ComputingReference"
    TRAINING = "Training"
    EVALUATING = "Evaluating"
    SAVING = "Saving"
    MERGING = "Merging"
    PUBLISHING = "Publishing"
    WAITING_FOR_STORAGE = "WaitingForStorage"

    @property
    def part(self) -> TimePart:
        """What its seconds are counted as, where they are not done again."""
        match self:
            case Activity.CHECKING | Activity.INDEXING | Activity.TRAINING | Activity.MERGING:
                return TimePart.TRAIN
            case Activity.EVALUATING:
                return TimePart.EVALUATE
            case Activity.SAVING | Activity.PUBLISHING:
                return TimePart.SAVE
            case Activity.WAITING_FOR_STORAGE:
                return TimePart.WAIT_FOR_STORAGE
            case Activity.STARTING | Activity.LOADING | Activity.COMPUTING_REFERENCE:
                return TimePart.LOAD


class Sparsity(Model):
    """Shares of small entries in an adapter, each from 0 to 1, measured together with the norm of ΔW.

    An adapter whose ΔW is 0 is not sparse but untrained or collapsed, so every share is read with `delta_norm`.
    """

    a_zero: float
    """Exact zeros in A."""
    a_small: float
    """Entries of A below 1e-5 in magnitude."""
    a_zero_bf16: float
    """Entries of A that are zero after rounding to bf16."""
    b_zero: float
    """Exact zeros in B."""
    b_small: float
    """Entries of B below 1e-5 in magnitude."""
    b_zero_bf16: float
    """Entries of B that are zero after rounding to bf16."""
    delta_zero: float
    """Exact zeros in ΔW = scale·B·A."""
    delta_small: float
    """Entries of ΔW below 1e-5 in magnitude: the paper's measure."""
    delta_zero_bf16: float
    """Entries of ΔW that are zero after rounding to bf16."""
    delta_norm: float
    """Frobenius norm of ΔW over all modules."""
    a_relative: float | None = None
    """Entries of A below a hundredth of the root mean square of all of A's. Unset by versions before 0.2, as are those
    that follow."""
    b_relative: float | None = None
    """Entries of B below a hundredth of the root mean square of all of B's."""
    delta_relative: float | None = None
    """Entries of ΔW below a hundredth of the root mean square of all of ΔW's."""
    delta_zero_rows: float | None = None
    """Rows of ΔW that are exactly zero, because those of B are."""


class Progress(Model):
    """Where a stage is. Fields that a stage does not have stay unset."""

    activity: Activity = Activity.STARTING
    """What it is doing."""
    waiting_for: Text | None = None
    """What a stage that is WaitingForStorage waits for; unset otherwise."""
    step: Annotated[int, Field(ge=0)] | None = None
    """Optimizer steps done; merge: tensors written."""
    total_steps: Annotated[int, Field(ge=0)] | None = None
    """Steps or tensors in all."""
    loss: float | None = None
    """Training loss of the last step, without the penalty."""
    penalty: float | None = None
    """SFT: λ·(‖A‖₁ + ‖B‖₁) at the last evaluation; with a target or whole rows as those penalties are."""
    eval_loss: float | None = None
    """Loss on the evaluation rows, without the penalty."""
    best_step: Annotated[int, Field(ge=0)] | None = None
    """Step of the evaluation with the lowest loss so far."""
    best_eval_loss: float | None = None
    """That loss."""
    sparsity: Sparsity | None = None
    """At the last evaluation."""
    warnings: Annotated[tuple[ArmWarning, ...], Field(max_length=8)] = ()
    """SFT, preference: what cannot be as the job asks for."""
    reward_margin: float | None = None
    """Preference: mean reward of chosen minus rejected, at the last step."""
    reward_accuracy: float | None = None
    """Preference: share of pairs whose chosen answer has the higher reward."""
    log_odds_ratio: float | None = None
    """ORPO: mean logarithm of the odds of chosen over those of rejected, at the last step; TRL's log_odds_chosen."""
    tokens_per_second: float | None = None
    """Over all processes, last steps."""
    bytes_per_second: Annotated[float, Field(ge=0)] | None = None
    """Merge: bytes of the base that were merged or copied each second, over the last seconds."""
    bytes_done: Annotated[int, Field(ge=0)] | None = None
    """Prepare: bytes of the base that are hashed, by this attempt or an earlier one; unset where the base is known."""
    bytes_total: Annotated[int, Field(ge=0)] | None = None
    """Bytes of the base in all."""
    eta_seconds: float | None = None
    """Seconds left."""
    checkpoint_step: Annotated[int, Field(ge=0)] | None = None
    """Step of the newest complete checkpoint."""
    resumed_step: Annotated[int, Field(ge=0)] | None = None
    """Step from which this attempt continued."""


class Finding(Model):
    """One thing that is wrong, found before anything was spent."""

    cause: Cause
    """Kind."""
    field: Text
    """Path in the job file, such as spec.sft.data.train[0].uri."""
    message: Text
    """What is wrong."""
    remedy: Text
    """What to do."""


class FinishedArtifact(Model):
    """An artifact that is complete in the object store."""

    uri: FolderUri
    """Folder."""
    digest: Digest
    """Over its files."""


class ArmPreparation(Model):
    """What prepare learned of one arm."""

    data_digest: Digest
    """Over the training files."""
    stage_digest: Digest
    """What the adapter depends on."""
    rows: Annotated[int, Field(ge=0)]
    """Training rows."""
    total_steps: Annotated[int, Field(ge=1)]
    """Optimizer steps that follow."""
    finished: FinishedArtifact | None = None
    """The adapter, where it exists already."""


class PrepareResult(Model):
    """What prepare found out."""

    base_digest: Digest
    """Digest of the base checkpoint."""
    sft: ArmPreparation
    """The supervised arm."""
    preference: ArmPreparation
    """The alignment arm."""


class AdapterMetrics(Model):
    """What is known of a trained adapter besides its files; kept in its manifest."""

    steps: Annotated[int, Field(ge=1)]
    """Optimizer steps behind it; with training.publish best not all that were done."""
    best_step: Annotated[int, Field(ge=1)] | None = None
    """Step of the evaluation with the lowest loss, whichever adapter is published."""
    best_eval_loss: float | None = None
    """That loss."""
    ended_step: Annotated[int, Field(ge=1)] | None = None
    """Step after which training.earlyStopping ended training; unset where it did not."""
    first_loss: float | None = None
    """Loss of the first step."""
    last_loss: float | None = None
    """Loss of the last step."""
    eval_loss: float | None = None
    """Loss of this adapter on the evaluation rows."""
    first_reward_margin: float | None = None
    """Preference: margin of the first step."""
    last_reward_margin: float | None = None
    """Preference: margin of the last step."""
    sparsity: Sparsity | None = None
    """At the end."""
    warnings: Annotated[tuple[ArmWarning, ...], Field(max_length=8)] = ()
    """What could not be as the job asked for."""
    tokens_per_second: float | None = None
    """Mean over the last attempt's training steps."""


class AdapterResult(AdapterMetrics):
    """A published adapter."""

    artifact: FinishedArtifact
    """Where it is."""
    adopted: bool = False
    """The artifact was another attempt's, found published already."""


class MergeCandidateResult(Model):
    """A merge that was published beside the job's own."""

    name: Annotated[DnsLabel, StringConstraints(max_length=40)]
    """Its name in spec.merge.candidates."""
    artifact: FinishedArtifact
    """Where it is."""
    recipe_digest: Digest
    """What it was made from, and how."""
    method: Annotated[str, StringConstraints(max_length=64)]
    """Merge method."""
    bytes: Annotated[int, Field(ge=0)]
    """Bytes of the checkpoint."""


MergeWarning = Annotated[str, StringConstraints(max_length=500)]


class MergeResult(Model):
    """A published merge."""

    artifact: FinishedArtifact
    """Where it is."""
    recipe_digest: Digest
    """What it was made from, and how; of this merge alone, whatever its candidates are."""
    method: Annotated[str, StringConstraints(max_length=64)]
    """Merge method."""
    merged_tensors: Annotated[int, Field(ge=0)]
    """Tensors that got a delta."""
    copied_tensors: Annotated[int, Field(ge=0)]
    """Tensors copied without decoding."""
    bytes: Annotated[int, Field(ge=0)]
    """Bytes of the checkpoint."""
    seconds: Annotated[float, Field(ge=0)]
    """Wall time."""
    peak_memory_bytes: Annotated[int, Field(ge=0)]
    """Peak resident memory of the process."""
    adopted: bool = False
    """Everything was already there, the candidates too."""
    candidates: Annotated[tuple[MergeCandidateResult, ...], Field(max_length=16)] = ()
    """Those of spec.merge.candidates, in their order."""
    warnings: Annotated[tuple[MergeWarning, ...], Field(max_length=20)] = ()
    """In words: what in the options or the adapters has another effect than one would expect. The gravest first."""


class Failure(Model):
    """Why an attempt ended without a result."""

    cause: Cause
    """Kind."""
    message: Text
    """What happened."""
    remedy: Text
    """What to do."""
    rank: Annotated[int, Field(ge=0)] | None = None
    """Rank that failed first."""
    findings: Annotated[tuple[Finding, ...], Field(max_length=64)] = ()
    """All that prepare found."""


class ReportState(StrEnum):
    """State of the attempt."""

    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    STOPPED = "Stopped"
    FAILED = "Failed"


class StageReport(Model):
    """One attempt's report. It carries exactly one result once it succeeded, and a failure once it failed."""

    identity: StageIdentity
    """Whose report this is; reports of other attempts are ignored."""
    state: ReportState
    """State of the attempt."""
    updated_at: datetime
    """When it was written."""
    time: AttemptTime | None = None
    """Where the attempt's seconds went until then. Unset by versions before 0.2."""
    progress: Progress = Progress()
    """Where it is."""
    prepare: PrepareResult | None = None
    """Result of prepare."""
    adapter: AdapterResult | None = None
    """Result of sft or preference."""
    merge: MergeResult | None = None
    """Result of merge."""
    failure: Failure | None = None
    """Why it failed."""

    @property
    def has_result(self) -> bool:
        """Whether this report carries the result its stage should have."""
        match self.identity.stage:
            case StageName.PREPARE:
                return self.prepare is not None
            case StageName.MERGE:
                return self.merge is not None
            case StageName.SFT | StageName.PREFERENCE:
                return self.adapter is not None
