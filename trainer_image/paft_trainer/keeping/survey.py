"""What lies in the folders of jobs, whose it is, how far the work there is, and what can go."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from paft_api.layout import INDEX
from paft_api.stages import StageName
from paft_api.storage_survey import (
    EndedAttempts,
    FolderState,
    ItemKind,
    StorageSurvey,
    SurveyedAttempt,
    SurveyedFolder,
    SurveyRequest,
)
from paft_trainer.keeping.contents import AttemptContents, OutputContents, StageContents
from paft_trainer.keeping.output_verdicts import judge_output
from paft_trainer.keeping.prepare_verdicts import PrepareContents, judge_prepare
from paft_trainer.keeping.proofs import proof_of_end
from paft_trainer.keeping.reading import read_output, read_sizes, read_stage, read_stages, read_uploads
from paft_trainer.keeping.reading_prepare import is_of_prepare, read_prepare
from paft_trainer.keeping.saved_checkpoints import is_whole
from paft_trainer.keeping.stage_verdicts import judge_stage
from paft_trainer.keeping.verdict import Verdict, split_uploads, upload_verdicts
from paft_trainer.storage import ObjectStore

_INDEX_ENTRY = re.compile(r"[0-9a-f]{64}\b.*")


@dataclass(frozen=True, kw_only=True, slots=True)
class JudgedFolder:
    """A stage's folder or an output, as users are told of it, and verdicts on what lies in it. `root`: what their names
    are relative to; empty where they are whole addresses."""

    described: SurveyedFolder
    verdicts: tuple[Verdict, ...]
    root: str

    @property
    def uri(self) -> str:
        """Where it is."""
        return self.described.uri


@dataclass(frozen=True, kw_only=True, slots=True)
class JudgedIndex:
    """Digests that are kept under artifactsUri."""

    uri: str
    sizes: tuple[int, ...] = ()
    verdicts: tuple[Verdict, ...] = ()


def judge_folders(store: ObjectStore, request: SurveyRequest) -> list[JudgedFolder]:
    """All that the request names. An output that is none is left out, and prepare where nothing is left of it. Raises
    errors of the store."""
    prepares = [read_prepare(store, request.storage.artifacts_uri)] if request.artifacts else []
    stages = read_stages(store, request.storage.artifacts_uri) if request.artifacts else []
    outputs = [read_output(store, output) for output in request.outputs]
    return [
        *(judged_prepare(prepare, request.ended) for prepare in prepares if prepare.attempts),
        *(judged_stage(stage, request.ended) for stage in stages),
        *(judged_output(output, request.ended) for output in outputs if output.folders),
    ]


def judge_again(store: ObjectStore, folder: JudgedFolder, ended: Sequence[EndedAttempts]) -> JudgedFolder:
    """The same folder as it is now."""
    if folder.described.stage is StageName.MERGE:
        return judged_output(read_output(store, folder.uri), ended)
    if folder.described.stage is StageName.PREPARE:
        return judged_prepare(read_prepare(store, folder.uri), ended)
    return judged_stage(read_stage(store, folder.uri, folder.described.stage), ended)


def judge_index(store: ObjectStore, request: SurveyRequest, folders: Iterable[JudgedFolder]) -> JudgedIndex:
    """The index is a cache that every job reads: it goes on request only, and while nobody may be reading it."""
    uri = request.storage.artifacts_uri + INDEX
    if not request.artifacts:
        return JudgedIndex(uri=uri)
    uploads, sizes = read_uploads(store, uri), read_sizes(store, uri)
    uploads = {name: some for name, some in uploads.items() if not any(map(is_of_prepare, some))}
    entries = {name: size for name, size in sizes.items() if _INDEX_ENTRY.fullmatch(name)}
    busy = [folder for folder in folders if folder.described.state is FolderState.IN_PROGRESS]
    why = "it was asked for, and no attempt is in progress"
    if busy:
        why = f"an attempt at {busy[0].uri} is not proven to be over, and may read it"
    elif not request.index:
        why = "it saves work on bases and data that was done before; --index removes it"
    remove = request.index and not busy
    verdicts = [
        Verdict(kind=ItemKind.INDEX, name=name, remove=remove, why=why, objects=(name,), size=size)
        for name, size in sorted(entries.items())
    ]
    ours, _ = split_uploads(uploads, lambda name: _INDEX_ENTRY.fullmatch(name) is not None)
    verdicts += upload_verdicts(ours, remove=remove, why=why)
    return JudgedIndex(uri=uri, sizes=tuple(entries.values()), verdicts=tuple(verdicts))


def survey(store: ObjectStore, request: SurveyRequest) -> StorageSurvey:
    """What `paft storage ls` shows and `paft storage gc --dry-run` proposes. Changes nothing."""
    folders = judge_folders(store, request)
    index = judge_index(store, request, folders)
    return StorageSurvey(
        folders=tuple(folder.described for folder in folders),
        index_entries=len(index.sizes),
        index_bytes=sum(index.sizes),
        items=(
            *(verdict.to_item(one.root) for one in folders for verdict in one.verdicts),
            *(verdict.to_item(index.uri) for verdict in index.verdicts),
        ),
    )


def judged_prepare(prepare: PrepareContents, ended: Sequence[EndedAttempts]) -> JudgedFolder:
    """Verdicts and description of all attempts at prepare."""
    attempts = [_described(one, prepare.attempts, ended) for one in prepare.attempts]
    described = SurveyedFolder(
        uri=prepare.artifacts_uri,
        stage=StageName.PREPARE,
        state=_unfinished_state(attempts),
        attempts=tuple(attempts),
        checkpoints=0,
        bytes=sum(size for one in prepare.attempts for size in one.sizes.values()),
        uploads=sum(len(some) for one in prepare.attempts for some in one.uploads.values()),
        started_at=_newest_start(attempts),
    )
    return JudgedFolder(described=described, verdicts=tuple(judge_prepare(prepare, ended)), root="")


def judged_stage(stage: StageContents, ended: Sequence[EndedAttempts]) -> JudgedFolder:
    """Verdicts and description of one stage digest."""
    attempts = [_described(one, stage.attempts, ended) for one in stage.attempts]
    whole = [
        manifest
        for one in stage.attempts
        for folder, manifest in one.checkpoints.items()
        if manifest is not None and is_whole(manifest, {name: one.sizes.get(folder + name) for name in manifest.files})
    ]
    sizes = [*stage.published.sizes.values(), *(size for one in stage.attempts for size in one.sizes.values())]
    uploads = [*stage.published.uploads.values(), *(some for one in stage.attempts for some in one.uploads.values())]
    described = SurveyedFolder(
        uri=stage.uri,
        stage=stage.stage,
        digest=stage.digest,
        state=FolderState.FINISHED if stage.published.is_finished else _unfinished_state(attempts),
        attempts=tuple(attempts),
        checkpoints=len(whole),
        bytes=sum(sizes),
        uploads=sum(map(len, uploads)),
        started_at=_newest_start(attempts),
    )
    return JudgedFolder(described=described, verdicts=tuple(judge_stage(stage, ended)), root=stage.uri)


def judged_output(output: OutputContents, ended: Sequence[EndedAttempts]) -> JudgedFolder:
    """Verdicts and description of one output."""
    attempts = [_described(one, output.attempts, ended) for one in output.attempts]
    folders = output.folders.values()
    uploads = [*output.other_uploads.values(), *(some for one in folders for some in one.uploads.values())]
    described = SurveyedFolder(
        uri=output.uri,
        stage=StageName.MERGE,
        digest=output.recipe_digest,
        state=FolderState.FINISHED if output.is_finished else _unfinished_state(attempts),
        attempts=tuple(attempts),
        checkpoints=0,
        bytes=sum(size for one in folders for size in one.sizes.values()),
        uploads=sum(map(len, uploads)),
        started_at=_newest_start(attempts),
    )
    return JudgedFolder(described=described, verdicts=tuple(judge_output(output, ended)), root=output.uri)


def _described(
    attempt: AttemptContents, attempts: Iterable[AttemptContents], ended: Iterable[EndedAttempts]
) -> SurveyedAttempt:
    if attempt.marker is None:
        return SurveyedAttempt(name=attempt.name)
    identity = attempt.marker.identity
    return SurveyedAttempt(
        name=attempt.name,
        job=f"{identity.job_namespace}/{identity.job_name}",
        in_cluster=attempt.marker.in_cluster,
        started_at=attempt.marker.started_at,
        over=proof_of_end(attempt, attempts, ended),
    )


def _unfinished_state(attempts: Sequence[SurveyedAttempt]) -> FolderState:
    marked = [one for one in attempts if one.job is not None]
    if not marked:
        return FolderState.UNKNOWN
    return FolderState.IN_PROGRESS if any(one.over is None for one in marked) else FolderState.ABANDONED


def _newest_start(attempts: Iterable[SurveyedAttempt]) -> datetime | None:
    return max((one.started_at for one in attempts if one.started_at is not None), default=None)
