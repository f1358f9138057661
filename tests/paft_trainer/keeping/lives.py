"""The life of jobs that train one arm, in memory: what they write when, and what they still need."""

from dataclasses import dataclass, field
from datetime import UTC, datetime

from paft_api.layout import ADAPTER_MANIFEST_FILE, ATTEMPT_MARKER_FILE, ATTEMPTS, CHECKPOINT_MANIFEST_FILE, CLAIM_FILE
from paft_api.run_spec import StageIdentity
from paft_api.spec.training import KeepSpec
from paft_api.stages import StageName
from paft_trainer.keeping.attempt_marker import AttemptEnd, AttemptMarker
from paft_trainer.keeping.contents import AttemptContents, PublishedContents, StageContents
from paft_trainer.keeping.saved_checkpoints import (
    TRAINER_STATE_FILE,
    CheckpointFile,
    CheckpointManifest,
    is_whole,
    part_file,
    saved_checkpoint,
    superseded,
)
from paft_trainer.storage import UnfinishedUpload

FOLDER = f"file:///artifacts/sft/{'a' * 64}/"
ADAPTER_FILES = ("adapter_config.json", "adapter_model.safetensors")
CHECKPOINT_FILES = (part_file(0, 2), part_file(1, 2), TRAINER_STATE_FILE)
"""All but the manifest."""
SIZE = 5
START = datetime(2026, 1, 1, tzinfo=UTC)


def marker(job: str, attempt: int, *, ended: AttemptEnd | None = None, keep: KeepSpec | None = None) -> AttemptMarker:
    """Of an attempt at the SFT arm."""
    identity = StageIdentity(
        job_name="job", job_namespace="default", job_uid=job, generation=1, stage=StageName.SFT, attempt=attempt
    )
    return AttemptMarker(identity=identity, started_at=START, ended=ended, keep=keep)


def manifest(step: int, eval_loss: float | None = None) -> CheckpointManifest:
    """Of a checkpoint whose files all have SIZE bytes."""
    files = {name: CheckpointFile(size=SIZE, sha256="0" * 64) for name in CHECKPOINT_FILES}
    return CheckpointManifest(format_version=2, step=step, eval_loss=eval_loss, files=files)


def step_folder(step: int) -> str:
    return f"checkpoints/step-{step:08d}/"


@dataclass
class Life:
    """One attempt. `saving`: the step of a checkpoint that is being written. `is_over`: whatever its marker says."""

    job: str
    number: int
    keep: KeepSpec
    ended: AttemptEnd | None = None
    is_over: bool = False
    saving: int | None = None

    @property
    def name(self) -> str:
        return f"{self.job}-{self.number}"

    @property
    def folder(self) -> str:
        return f"{ATTEMPTS}{self.name}/"


@dataclass
class Stage:
    """One stage digest. `objects`: names; `uploads`: names of what they would become; `losses`: by step."""

    objects: set[str] = field(default_factory=set)
    uploads: set[str] = field(default_factory=set)
    lives: list[Life] = field(default_factory=list)
    losses: dict[int, float | None] = field(default_factory=dict)
    step: int = 0
    source: Life | None = None

    # What jobs do ----------------------------------------------------------------------------------------------------

    def begin(self, job: str, keep: KeepSpec) -> None:
        """The planner starts the next attempt of a job once the last one is over."""
        own = [life for life in self.lives if life.job == job]
        if own and not own[-1].is_over:
            return
        for life in own:
            if life.ended is None and self.has_marker(life):
                life.ended = AttemptEnd.LOST
        if self.is_finished:
            return
        life = Life(job, len(own) + 1, keep)
        self.lives.append(life)
        self.objects.add(life.folder + ATTEMPT_MARKER_FILE)

    def save(self, life: Life, *, eval_loss: float | None) -> None:
        """Begin a checkpoint, or go on with one: a file at a time, the manifest last, then retention."""
        if life.saving is None:
            self.step += 1
            life.saving = self.step
            self.losses[self.step] = eval_loss
            self.uploads.add(life.folder + step_folder(self.step) + CHECKPOINT_FILES[0])
            return
        folder = life.folder + step_folder(life.saving)
        self.uploads -= {name for name in self.uploads if name.startswith(folder)}
        missing = [name for name in (*CHECKPOINT_FILES, CHECKPOINT_MANIFEST_FILE) if folder + name not in self.objects]
        self.objects.add(folder + missing[0])
        if len(missing) == 1:
            life.saving = None
            self.apply_retention(life)

    def apply_retention(self, life: Life) -> None:
        """As own_attempts.apply_retention does."""
        own = {one.name for one in self.lives if one.job == life.job}
        saved = [
            saved_checkpoint(f"{attempt.name}/{folder}", told)
            for attempt in self.contents().attempts
            if attempt.name in own
            for folder, told in attempt.checkpoints.items()
            if told is not None
        ]
        for one in superseded(saved, last=life.keep.last, best=life.keep.best):
            self.objects -= {name for name in self.objects if name.startswith(ATTEMPTS + one.folder)}

    def publish(self, life: Life) -> None:
        """One step towards a published adapter: the own copy, the claim, its files, the manifest; then success."""
        own = [f"{life.folder}adapter/{name}" for name in (*ADAPTER_FILES, ADAPTER_MANIFEST_FILE)]
        steps = [*own, CLAIM_FILE, *ADAPTER_FILES, ADAPTER_MANIFEST_FILE]
        missing = [name for name in steps if name not in self.objects]
        if self.is_finished or not missing:
            self.end(life, AttemptEnd.SUCCEEDED)
            return
        if missing[0] == CLAIM_FILE:
            self.source = life
        if missing[0] in ADAPTER_FILES:
            assert self.source is not None
            assert f"{self.source.folder}adapter/{missing[0]}" in self.objects, "the files of a claim are gone"
        self.objects.add(missing[0])

    def end(self, life: Life, how: AttemptEnd) -> None:
        """It says so itself."""
        life.ended, life.is_over, life.saving = how, True, None
        self.uploads -= {name for name in self.uploads if name.startswith(life.folder)}

    def kill(self, life: Life) -> None:
        """It says nothing, and what it was writing stays as it is."""
        life.is_over, life.saving = True, None

    # What is needed --------------------------------------------------------------------------------------------------

    @property
    def is_finished(self) -> bool:
        return ADAPTER_MANIFEST_FILE in self.objects

    @property
    def running(self) -> list[Life]:
        return [life for life in self.lives if not life.is_over]

    def has_marker(self, life: Life) -> bool:
        return life.folder + ATTEMPT_MARKER_FILE in self.objects

    def whole_checkpoints(self) -> dict[str, int]:
        """Steps by folder, of those that a resume can take."""
        return {
            f"{ATTEMPTS}{attempt.name}/{folder}": told.step
            for attempt in self.contents().attempts
            for folder, told in attempt.checkpoints.items()
            if told is not None and is_whole(told, {name: attempt.sizes.get(folder + name) for name in told.files})
        }

    def needed(self) -> set[str]:
        """Objects that must stay: of running attempts, of the result, of a claim, and the newest checkpoint."""
        folders = [life.folder for life in self.running]
        if not self.is_finished:
            folders += [] if self.source is None else [f"{self.source.folder}adapter/"]
            steps = self.whole_checkpoints()
            folders += [folder for folder, step in steps.items() if step == max(steps.values())]
        return {name for name in self.objects if "/" not in name or name.startswith(tuple(folders))}

    # How it looks ----------------------------------------------------------------------------------------------------

    def contents(self) -> StageContents:
        """As reading it would give."""
        return StageContents(
            uri=FOLDER,
            stage=StageName.SFT,
            digest=f"sha256:{'a' * 64}",
            published=PublishedContents(
                sizes={name: SIZE for name in self.objects if "/" not in name},
                promised=dict.fromkeys(ADAPTER_FILES, SIZE) if self.is_finished else None,
            ),
            attempts=tuple(self._attempt(life) for life in self.lives if self._has_anything(life)),
        )

    def _has_anything(self, life: Life) -> bool:
        return any(name.startswith(life.folder) for name in self.objects | self.uploads)

    def _attempt(self, life: Life) -> AttemptContents:
        sizes = {name.removeprefix(life.folder): SIZE for name in self.objects if name.startswith(life.folder)}
        folders = {
            name.removesuffix(CHECKPOINT_MANIFEST_FILE) for name in sizes if name.endswith(CHECKPOINT_MANIFEST_FILE)
        }
        steps = {folder: int(folder.rstrip("/").rpartition("-")[2]) for folder in folders}
        uploads = {name.removeprefix(life.folder) for name in self.uploads if name.startswith(life.folder)}
        return AttemptContents(
            name=life.name,
            marker=marker(life.job, life.number, ended=life.ended, keep=life.keep) if self.has_marker(life) else None,
            sizes=sizes,
            uploads={name: (UnfinishedUpload(uri=name, upload_id="1", started_at=START),) for name in uploads},
            checkpoints={folder: manifest(step, self.losses[step]) for folder, step in steps.items()},
        )
