"""What goes from the output of a merge, rule by rule."""

from tests.paft_trainer.keeping.lives import FOLDER, SIZE, START, marker

from paft_api.stages import StageName
from paft_api.storage_survey import EndedAttempts, ItemKind
from paft_trainer.keeping.attempt_marker import AttemptEnd, AttemptMarker
from paft_trainer.keeping.contents import AttemptContents, OutputContents, PublishedContents, Uploads
from paft_trainer.keeping.output_verdicts import judge_output
from paft_trainer.storage import UnfinishedUpload

SHARD, OTHER, TEMPORARY = "model.safetensors", "somebody-elses.gguf", ".paft-partial-1"
RECORD, MARKER = ".paft-shard-model.safetensors.json", ".paft-attempt-uid-1.json"


def merging(number: int, ended: AttemptEnd | None, *, job: str = "uid") -> AttemptContents:
    told = marker(job, number, ended=ended)
    identity = told.identity.model_copy(update={"stage": StageName.MERGE})
    told = AttemptMarker(identity=identity, started_at=START, ended=ended, writes=(SHARD,))
    return AttemptContents(name=told.name, marker=told)


def uploads() -> Uploads:
    ids = {SHARD: "id", OTHER: "id", TEMPORARY: TEMPORARY}
    return {
        name: (UnfinishedUpload(uri=FOLDER + name, upload_id=upload_id, started_at=START),)
        for name, upload_id in ids.items()
    }


def folder(*, finished: bool) -> PublishedContents:
    sizes = {SHARD: SIZE, RECORD: SIZE, MARKER: SIZE}
    return PublishedContents(sizes=sizes, uploads=uploads(), promised={SHARD: SIZE} if finished else None)


def output(*attempts: AttemptContents, **finished: bool) -> OutputContents:
    """By folder, whether it is finished: `main` for the output itself, else the name of a candidate."""
    folders = {"" if name == "main" else f"candidates/{name}/": folder(finished=one) for name, one in finished.items()}
    return OutputContents(uri=FOLDER, recipe_digest="sha256:" + "b" * 64, folders=folders, attempts=attempts)


def gone(contents: OutputContents, *ended: EndedAttempts) -> list[tuple[ItemKind, str]]:
    return [(one.kind, one.name) for one in judge_output(contents, ended) if one.remove]


def test_uploads_go_once_all_attempts_are_over() -> None:
    dead = merging(1, AttemptEnd.FAILED)
    assert gone(output(dead, main=False)) == [(ItemKind.UPLOAD, TEMPORARY), (ItemKind.UPLOAD, SHARD)]
    assert gone(output(dead, merging(1, None, job="other"), main=False)) == []
    # Nobody knows who else claimed it, and writes.
    assert gone(output(main=False)) == []


def test_an_attempt_is_over_once_the_next_has_begun_or_somebody_tells() -> None:
    first, second = merging(1, None), merging(2, AttemptEnd.STOPPED)
    assert gone(output(first, main=False)) == []
    assert len(gone(output(first, second, main=False))) == 2
    assert len(gone(output(first, main=False), EndedAttempts(job_uid="uid", why="said"))) == 2


def test_files_of_an_unfinished_merge_stay_for_the_one_that_goes_on() -> None:
    assert not [name for kind, name in gone(output(merging(1, AttemptEnd.FAILED), main=False)) if name == RECORD]


def test_a_finished_merge_needs_nothing_but_its_files_whoever_runs() -> None:
    contents = output(merging(1, None), main=True)
    assert gone(contents) == [
        (ItemKind.UPLOAD, TEMPORARY),
        (ItemKind.UPLOAD, SHARD),
        (ItemKind.SHARD_RECORD, RECORD),
        (ItemKind.MARKER, MARKER),
    ]


def test_markers_stay_until_the_candidates_are_there_too() -> None:
    contents = output(merging(1, None), main=True, plain=False)
    assert gone(contents) == [
        (ItemKind.UPLOAD, TEMPORARY),
        (ItemKind.UPLOAD, SHARD),
        (ItemKind.SHARD_RECORD, RECORD),
    ]
    assert (ItemKind.MARKER, MARKER) in gone(output(merging(1, None), main=True, plain=True))


def test_uploads_of_others_stay_in_any_case() -> None:
    for contents in (output(merging(1, AttemptEnd.FAILED), main=False), output(main=True)):
        kept = {one.name: one.why for one in judge_output(contents) if not one.remove}
        assert kept == {OTHER: "no claim or marker tells that it is ours"}


def test_without_a_claim_of_ours_nothing_goes() -> None:
    contents = OutputContents(
        uri=FOLDER, recipe_digest=None, folders={}, attempts=(merging(1, AttemptEnd.FAILED),), other_uploads=uploads()
    )
    assert gone(contents) == []
    assert len(judge_output(contents)) == 3
