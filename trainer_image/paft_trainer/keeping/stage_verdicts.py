"""What can go from the folder of an arm's stage digest. Pure: from what was listed and read to verdicts.

The rules, in the words of docs/reference/storage-layout.md: nothing of an attempt that is not proven to be over; while
there is no result, the newest checkpoints and the best ones stay, whoever saved them; with the result they all go.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from paft_api.layout import ADAPTER_MANIFEST_FILE, ATTEMPT_MARKER_FILE, ATTEMPTS, CHECKPOINT_MANIFEST_FILE, OWN_ADAPTER
from paft_api.spec.training import KeepSpec
from paft_api.storage_survey import EndedAttempts, ItemKind
from paft_trainer.keeping.contents import AttemptContents, Sizes, StageContents, checkpoint_folders
from paft_trainer.keeping.proofs import proof_of_end
from paft_trainer.keeping.saved_checkpoints import (
    is_checkpoint_file,
    is_whole,
    saved_checkpoint,
    superseded,
)
from paft_trainer.keeping.verdict import Verdict, split_uploads, upload_verdicts

_ADAPTER_FILES = (ADAPTER_MANIFEST_FILE, "adapter_config.json", "adapter_model.safetensors")
_FINISHED = "the adapter is published, so that nobody resumes from it"


def judge_stage(contents: StageContents, ended: Sequence[EndedAttempts] = ()) -> list[Verdict]:
    """Verdicts on all that is no part of the result, in the order in which things can be removed: of each job the
    earlier attempts first, of each attempt the marker last, so that a clean-up that is cut short can be proven anew."""
    stage = _Stage(contents, kept=_kept_checkpoints(contents))
    verdicts = _beside_the_result(contents)
    unproven: set[str] = set()
    for attempt in sorted(contents.attempts, key=_job_and_number):
        found = _judge_attempt(stage, attempt, proof_of_end(attempt, contents.attempts, ended))
        job, _ = _job_and_number(attempt)
        if attempt.marker is not None and job not in unproven and _marker_can_go(stage, attempt, found):
            found.append(_marker(attempt))
        elif attempt.marker is not None and attempt.marker.ended is None:
            # Later markers are the proof that this one is over.
            unproven.add(job)
        verdicts += found
    return verdicts


@dataclass(frozen=True, slots=True)
class _Stage:
    contents: StageContents
    kept: frozenset[str]

    @property
    def is_finished(self) -> bool:
        return self.contents.published.is_finished


def _judge_attempt(stage: _Stage, attempt: AttemptContents, over: str | None) -> list[Verdict]:
    if over is None:
        why = "it has no marker that proves whose it is" if attempt.marker is None else "it is not proven to be over"
        whole = Verdict(
            kind=ItemKind.ATTEMPT,
            name=f"{ATTEMPTS}{attempt.name}/",
            remove=False,
            why=why,
            attempt=attempt.name,
            size=sum(attempt.sizes.values()),
        )
        return [whole, *_uploads(attempt, remove=False, why=why)]
    verdicts = _uploads(attempt, remove=True, why=f"attempt {attempt.name} is over: {over}")
    for folder, sizes in checkpoint_folders(attempt.sizes).items():
        verdicts.append(_judge_checkpoint(stage, attempt, folder, sizes, over))
    return [*verdicts, *_judge_own_adapter(stage, attempt, over)]


def _uploads(attempt: AttemptContents, *, remove: bool, why: str) -> list[Verdict]:
    prefix = f"{ATTEMPTS}{attempt.name}/"
    return upload_verdicts(attempt.uploads, remove=remove, why=why, prefix=prefix, attempt=attempt.name)


def _judge_checkpoint(stage: _Stage, attempt: AttemptContents, folder: str, sizes: Sizes, over: str) -> Verdict:
    manifest = attempt.checkpoints.get(folder)
    kind, remove = ItemKind.CHECKPOINT, True
    if CHECKPOINT_MANIFEST_FILE in sizes and manifest is None:
        remove, why = False, "this version cannot read its manifest"
    elif manifest is None or not is_whole(manifest, sizes):
        kind, why = ItemKind.TORN_CHECKPOINT, f"it is incomplete, and attempt {attempt.name} is over: {over}"
    elif stage.is_finished:
        why = _FINISHED
    elif f"{attempt.name}/{folder}" in stage.kept:
        remove, why = False, "the next attempt resumes from the newest; training.keep keeps it"
    else:
        why = f"training.keep does not keep it, and attempt {attempt.name} is over: {over}"
    # The manifest first, so that nobody takes what is left for complete.
    ours = [name for name in sorted(sizes) if is_checkpoint_file(name)]
    names = (CHECKPOINT_MANIFEST_FILE, *ours, *(manifest.files if manifest is not None else ()))
    return _folder_verdict(attempt, folder, sizes, names, kind=kind, remove=remove, why=why)


def _judge_own_adapter(stage: _Stage, attempt: AttemptContents, over: str) -> list[Verdict]:
    sizes = {
        name.removeprefix(OWN_ADAPTER): size for name, size in attempt.sizes.items() if name.startswith(OWN_ADAPTER)
    }
    if not sizes:
        return []
    finished, why = stage.is_finished, "the claim may name it until the adapter is published"
    if finished:
        why = f"the adapter is published, and attempt {attempt.name} is over: {over}"
    kind = ItemKind.ADAPTER_COPY
    return [_folder_verdict(attempt, OWN_ADAPTER, sizes, _ADAPTER_FILES, kind=kind, remove=finished, why=why)]


def _folder_verdict(
    attempt: AttemptContents, folder: str, sizes: Sizes, ours: Iterable[str], *, kind: ItemKind, remove: bool, why: str
) -> Verdict:
    name = f"{ATTEMPTS}{attempt.name}/{folder}"
    present = [one for one in dict.fromkeys(ours) if one in sizes]
    if not present:
        remove, why = False, "it holds nothing that PAFT writes"
    return Verdict(
        kind=kind,
        name=name,
        remove=remove,
        why=why,
        objects=tuple(name + one for one in present),
        attempt=attempt.name,
        size=sum(sizes[one] for one in present),
    )


def _marker_can_go(stage: _Stage, attempt: AttemptContents, found: Sequence[Verdict]) -> bool:
    """Where nothing else is left of an attempt. One that wrote no end itself may write once more where it is cut off,
    so that its marker stays as long as there is no result."""
    if not all(verdict.remove for verdict in found) or not _is_sure(stage, attempt):
        return False
    prefix = f"{ATTEMPTS}{attempt.name}/"
    left = {prefix + name for name in attempt.sizes} - {name for verdict in found for name in verdict.objects}
    return left == {prefix + ATTEMPT_MARKER_FILE}


def _is_sure(stage: _Stage, attempt: AttemptContents) -> bool:
    assert attempt.marker is not None
    return stage.is_finished or attempt.marker.wrote_its_end


def _marker(attempt: AttemptContents) -> Verdict:
    name = f"{ATTEMPTS}{attempt.name}/{ATTEMPT_MARKER_FILE}"
    return Verdict(
        kind=ItemKind.MARKER,
        name=name,
        remove=True,
        why="nothing else is left of its attempt",
        objects=(name,),
        attempt=attempt.name,
        size=attempt.sizes[ATTEMPT_MARKER_FILE],
    )


def _beside_the_result(contents: StageContents) -> list[Verdict]:
    published = contents.published
    if not published.is_finished:
        why = "the adapter is not published; whoever finishes that may be writing it"
        return upload_verdicts(published.uploads, remove=False, why=why)
    ours, others = split_uploads(published.uploads, published.is_of_the_result)
    return [
        *upload_verdicts(ours, remove=True, why="the adapter is published"),
        *upload_verdicts(others, remove=False, why="no claim or marker tells that it is ours"),
    ]


def _kept_checkpoints(contents: StageContents) -> frozenset[str]:
    """`<attempt>/<checkpoint's folder>` of those that stay while there is no result: by the most generous training.keep
    of all jobs, over the checkpoints of all their attempts."""
    saved = [
        saved_checkpoint(f"{attempt.name}/{folder}", manifest)
        for attempt in contents.attempts
        if attempt.marker is not None
        for folder, manifest in attempt.checkpoints.items()
        if manifest is not None and is_whole(manifest, checkpoint_folders(attempt.sizes).get(folder, {}))
    ]
    keep = _most_generous(contents.attempts)
    gone = {one.folder for one in superseded(saved, last=keep.last, best=keep.best)}
    return frozenset(one.folder for one in saved) - gone


def _most_generous(attempts: Iterable[AttemptContents]) -> KeepSpec:
    told = [one.marker.keep for one in attempts if one.marker is not None and one.marker.keep is not None]
    if not told:
        return KeepSpec()
    return KeepSpec(last=max(keep.last for keep in told), best=max(keep.best for keep in told))


def _job_and_number(attempt: AttemptContents) -> tuple[str, int]:
    if attempt.marker is None:
        return attempt.name, 0
    return attempt.marker.identity.job_uid, attempt.marker.identity.attempt
