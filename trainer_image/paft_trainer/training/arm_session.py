"""What one attempt at an arm knows and remembers while it trains."""

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from paft_api.layout import attempt_folder, attempts_folder, stage_folder
from paft_api.report import Sparsity
from paft_api.run_spec import RunSpec, World
from paft_api.spec.arm import ArmSpec
from paft_api.stages import StageName
from paft_trainer.launching.heartbeats import Heartbeat
from paft_trainer.reporting import Reporter
from paft_trainer.storage import ObjectStore
from paft_trainer.tracking.trackers import Trackers
from paft_trainer.training.checkpoints.checkpoint import Checkpoint
from paft_trainer.training.checkpoints.save_stall import SaveStall
from paft_trainer.training.evaluations import Evaluations
from paft_trainer.training.stop_signal import StopSignal


@dataclass(kw_only=True, slots=True)
class TrainingHistory:
    """Numbers of the whole training, over all attempts; they travel in checkpoints.

    `sparsity`: the document of `sparsity_history`.
    """

    first_loss: float | None = None
    last_loss: float | None = None
    eval_loss: float | None = None
    first_reward_margin: float | None = None
    last_reward_margin: float | None = None
    sparsity: dict[str, Any] = field(default_factory=dict)
    evaluations: Evaluations = field(default_factory=Evaluations)

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> Self:
        """From a checkpoint."""
        return cls(**document | {"evaluations": Evaluations(**document.get("evaluations", {}))})

    def note(self, loss: float, reward_margin: float | None) -> None:
        """Take in one optimizer step."""
        self.first_loss = loss if self.first_loss is None else self.first_loss
        self.last_loss = loss
        if reward_margin is not None:
            self.first_reward_margin = reward_margin if self.first_reward_margin is None else self.first_reward_margin
            self.last_reward_margin = reward_margin

    def to_document(self) -> dict[str, Any]:
        """As kept in a checkpoint."""
        return asdict(self)


@dataclass(kw_only=True, slots=True)
class Throughput:
    """Tokens per second over all ranks, of this attempt's training steps only."""

    tokens: int = 0
    steps: int = 0
    _started: float = field(default_factory=time.monotonic)

    def note(self, tokens: int) -> None:
        """Take in one optimizer step."""
        self.tokens += tokens
        self.steps += 1

    def restart(self) -> None:
        """Start counting now."""
        self.tokens, self.steps, self._started = 0, 0, time.monotonic()

    @property
    def tokens_per_second(self) -> float:
        """Mean so far."""
        return self.tokens / max(time.monotonic() - self._started, 1e-9)

    @property
    def seconds_per_step(self) -> float:
        """Mean so far."""
        return (time.monotonic() - self._started) / max(self.steps, 1)


@dataclass(kw_only=True, slots=True)
class ArmSession:
    """One attempt at one arm, on one rank.

    `total_steps`: optimizer steps of the whole training. `resumed`: the checkpoint it goes on from. `sparsity`: the
    newest measurement, on rank 0. `data_warnings`: rows that were left out. `stopped`: training ended because it was
    asked to, after a checkpoint. `save_stall`: what checkpoints cost training. `trackers`: on rank 0.
    """

    run_spec: RunSpec
    arm: ArmSpec
    world: World
    store: ObjectStore
    reporter: Reporter
    stop_signal: StopSignal
    heartbeat: Heartbeat
    resumed: Checkpoint | None = None
    total_steps: int = 0
    history: TrainingHistory = field(default_factory=TrainingHistory)
    throughput: Throughput = field(default_factory=Throughput)
    sparsity: Sparsity | None = None
    data_warnings: tuple[str, ...] = ()
    stopped: bool = False
    save_stall: SaveStall = field(default_factory=SaveStall)
    trackers: Trackers | None = None

    def track(self, values: Mapping[str, float], step: int) -> None:
        """Tell trackers; nothing on ranks above 0."""
        if self.trackers is not None:
            self.trackers.log(values, step)

    @property
    def has_trained(self) -> bool:
        """Whether the checkpoint that it goes on from is the last one: nothing is left but to publish."""
        if self.resumed is None:
            return False
        return self.resumed.position.step >= self.total_steps or self.history.evaluations.ended_step is not None

    @property
    def stage(self) -> StageName:
        """sft or preference."""
        return self.run_spec.identity.stage

    @property
    def stage_digest(self) -> str:
        """What this arm's result depends on."""
        assert self.run_spec.stage_digest is not None
        return self.run_spec.stage_digest

    @property
    def stage_folder(self) -> str:
        """Where the finished adapter goes."""
        return stage_folder(self.run_spec.storage.artifacts_uri, self.stage, self.stage_digest)

    @property
    def attempts_folder(self) -> str:
        """Checkpoints of all attempts, of any job."""
        return attempts_folder(self.run_spec.storage.artifacts_uri, self.stage, self.stage_digest)

    @property
    def attempt_folder(self) -> str:
        """Where this attempt's checkpoints go."""
        identity = self.run_spec.identity
        return attempt_folder(
            self.run_spec.storage.artifacts_uri, self.stage, self.stage_digest, identity.job_uid, identity.attempt
        )
