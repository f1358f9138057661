"""What goes from the folder of an arm, rule by rule."""

import pytest
from tests.paft_trainer.keeping.lives import (
    ADAPTER_FILES,
    CHECKPOINT_FILES,
    FOLDER,
    SIZE,
    START,
    manifest,
    marker,
    step_folder,
)

from paft_api.layout import ADAPTER_MANIFEST_FILE, ATTEMPT_MARKER_FILE, ATTEMPTS, CHECKPOINT_MANIFEST_FILE
from paft_api.spec.training import KeepSpec
from paft_api.stages import StageName
from paft_api.storage_survey import EndedAttempts, ItemKind
from paft_trainer.keeping.attempt_marker import AttemptEnd, AttemptMarker
from paft_trainer.keeping.contents import AttemptContents, PublishedContents, StageContents, Uploads
from paft_trainer.keeping.stage_verdicts import judge_stage
from paft_trainer.keeping.verdict import Verdict
from paft_trainer.storage import UnfinishedUpload

RUNNING, FAILED, LOST = None, AttemptEnd.FAILED, AttemptEnd.LOST
UID = "uid"


def upload(name: str, upload_id: str = "id") -> Uploads:
    return {name: (UnfinishedUpload(uri=FOLDER + name, upload_id=upload_id, started_at=START),)}


def checkpoint(step: int, *, without: str | None = None) -> dict[str, int]:
    """Sizes of a checkpoint's files."""
    names = (*CHECKPOINT_FILES, CHECKPOINT_MANIFEST_FILE)
    return {step_folder(step) + name: SIZE for name in names if name != without}


def attempt(
    number: int,
    ended: AttemptEnd | None,
    *steps: int,
    job: str = UID,
    files: dict[str, int] | None = None,
    uploads: Uploads | None = None,
    keep: KeepSpec | None = None,
    mark: AttemptMarker | None = None,
) -> AttemptContents:
    """With complete checkpoints of these steps."""
    sizes = {ATTEMPT_MARKER_FILE: SIZE} | {name: size for step in steps for name, size in checkpoint(step).items()}
    return AttemptContents(
        name=f"{job}-{number}",
        marker=mark or marker(job, number, ended=ended, keep=keep or KeepSpec(last=1, best=0)),
        sizes=sizes | (files or {}),
        uploads=uploads or {},
        checkpoints={step_folder(step): manifest(step) for step in steps},
    )


def stage(*attempts: AttemptContents, finished: bool = False, uploads: Uploads | None = None) -> StageContents:
    promised = dict.fromkeys(ADAPTER_FILES, SIZE)
    return StageContents(
        uri=FOLDER,
        stage=StageName.SFT,
        digest=f"sha256:{'a' * 64}",
        published=PublishedContents(
            sizes=promised if finished else {}, uploads=uploads or {}, promised=promised if finished else None
        ),
        attempts=attempts,
    )


def gone(contents: StageContents, *ended: EndedAttempts) -> list[tuple[ItemKind, str]]:
    """Kind and name of what goes, in its order."""
    return [(one.kind, one.name.removeprefix(ATTEMPTS)) for one in judge_stage(contents, ended) if one.remove]


def why(contents: StageContents, kind: ItemKind) -> str:
    (verdict,) = [one for one in judge_stage(contents) if one.kind is kind]
    return verdict.why


def checkpoints_gone(contents: StageContents) -> list[str]:
    """`<attempt> <step>` each."""
    names = [name.rstrip("/") for kind, name in gone(contents) if kind is ItemKind.CHECKPOINT]
    return [f"{name.partition('/')[0]} {int(name.rpartition('-')[2])}" for name in names]


NEWEST_WINS = [
    ("one dead attempt keeps its newest", [attempt(1, FAILED, 4, 8)], ["uid-1 4"]),
    ("another job's is newer", [attempt(1, FAILED, 4), attempt(1, LOST, 8, job="b")], ["uid-1 4"]),
    ("a running one's is newer", [attempt(1, FAILED, 4), attempt(1, RUNNING, 8, job="b")], ["uid-1 4"]),
    ("a running one's is older", [attempt(1, FAILED, 8), attempt(1, RUNNING, 4, job="b")], []),
    ("the next attempt proves the end", [attempt(1, RUNNING, 4), attempt(2, RUNNING, 8)], ["uid-1 4"]),
    ("a later attempt of another job proves nothing", [attempt(1, RUNNING, 4), attempt(2, RUNNING, 8, job="b")], []),
    (
        "the most generous keep of all holds",
        [attempt(1, FAILED, 4, 8, 12, keep=KeepSpec(last=2, best=0)), attempt(1, FAILED, 16, job="b")],
        ["uid-1 4", "uid-1 8"],
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("attempts", "expected"), [row[1:] for row in NEWEST_WINS], ids=[row[0] for row in NEWEST_WINS]
)
def test_while_there_is_no_adapter_the_newest_checkpoints_stay(
    attempts: list[AttemptContents], expected: list[str]
) -> None:
    assert checkpoints_gone(stage(*attempts)) == expected


def test_the_best_stays_as_training_keep_says() -> None:
    contents = attempt(1, FAILED, 4, 8, 12, keep=KeepSpec(last=1, best=1))
    losses = {step_folder(4): manifest(4, 0.5), step_folder(8): manifest(8, 0.75), step_folder(12): manifest(12)}
    contents = AttemptContents(name=contents.name, marker=contents.marker, sizes=contents.sizes, checkpoints=losses)
    assert checkpoints_gone(stage(contents)) == ["uid-1 8"]


def test_with_the_adapter_all_of_dead_attempts_goes_and_the_marker_last() -> None:
    files = {f"adapter/{name}": SIZE for name in (*ADAPTER_FILES, ADAPTER_MANIFEST_FILE)}
    contents = stage(attempt(1, LOST, 4, 8), attempt(2, FAILED, 12, files=files), finished=True)
    assert gone(contents) == [
        (ItemKind.CHECKPOINT, "uid-1/checkpoints/step-00000004/"),
        (ItemKind.CHECKPOINT, "uid-1/checkpoints/step-00000008/"),
        (ItemKind.MARKER, "uid-1/paft_attempt.json"),
        (ItemKind.CHECKPOINT, "uid-2/checkpoints/step-00000012/"),
        (ItemKind.ADAPTER_COPY, "uid-2/adapter/"),
        (ItemKind.MARKER, "uid-2/paft_attempt.json"),
    ]
    verdict = next(one for one in judge_stage(contents) if one.kind is ItemKind.CHECKPOINT)
    assert verdict.objects[0].endswith(CHECKPOINT_MANIFEST_FILE)
    assert verdict.size == len((*CHECKPOINT_FILES, CHECKPOINT_MANIFEST_FILE)) * SIZE


def test_a_running_attempt_of_another_job_keeps_everything_although_the_adapter_is_there() -> None:
    contents = stage(attempt(1, RUNNING, 4, 8, uploads=upload("checkpoints/step-00000012/x")), finished=True)
    assert gone(contents) == []
    assert {one.why for one in judge_stage(contents)} == {"it is not proven to be over"}


def test_what_a_claim_may_name_stays_until_the_adapter_is_published() -> None:
    contents = stage(attempt(1, FAILED, files={"adapter/adapter_config.json": SIZE}))
    assert gone(contents) == []
    assert why(contents, ItemKind.ADAPTER_COPY) == "the claim may name it until the adapter is published"


@pytest.mark.parametrize("missing", [CHECKPOINT_MANIFEST_FILE, CHECKPOINT_FILES[1]])
def test_a_torn_checkpoint_of_a_dead_attempt_goes(missing: str) -> None:
    torn = attempt(1, FAILED, files=checkpoint(4, without=missing))
    manifests = {step_folder(4): manifest(4)} if missing != CHECKPOINT_MANIFEST_FILE else {}
    torn = AttemptContents(name=torn.name, marker=torn.marker, sizes=torn.sizes, checkpoints=manifests)
    assert gone(stage(torn))[0] == (ItemKind.TORN_CHECKPOINT, "uid-1/checkpoints/step-00000004/")
    assert why(stage(torn), ItemKind.TORN_CHECKPOINT) == (
        "it is incomplete, and attempt uid-1 is over: its marker says that it has failed"
    )


def test_a_checkpoint_of_a_later_version_stays() -> None:
    later = attempt(1, FAILED, files=checkpoint(4))
    later = AttemptContents(name=later.name, marker=later.marker, sizes=later.sizes, checkpoints={step_folder(4): None})
    assert gone(stage(later, finished=True)) == []
    assert why(stage(later), ItemKind.CHECKPOINT) == "this version cannot read its manifest"


def test_what_paft_does_not_write_stays_and_its_marker_with_it() -> None:
    files = {"notes.txt": 1, f"{step_folder(9)}mine.bin": 1, **checkpoint(4)}
    contents = stage(attempt(1, FAILED, 4, files=files), finished=True)
    assert gone(contents) == [(ItemKind.CHECKPOINT, "uid-1/checkpoints/step-00000004/")]


@pytest.mark.parametrize("finished", [False, True])
def test_a_folder_without_a_marker_is_left_alone(finished: bool) -> None:
    unmarked = AttemptContents(name="uid-1", marker=None, sizes=checkpoint(4), uploads=upload("x"))
    contents = stage(unmarked, attempt(2, FAILED), finished=finished)
    assert gone(contents) == [(ItemKind.MARKER, "uid-2/paft_attempt.json")]
    assert "it has no marker that proves whose it is" in [one.why for one in judge_stage(contents)]


def test_a_marker_that_proves_an_earlier_end_stays() -> None:
    unread = attempt(1, RUNNING, files=checkpoint(4))
    unread = AttemptContents(
        name=unread.name, marker=unread.marker, sizes=unread.sizes, checkpoints={step_folder(4): None}
    )
    assert gone(stage(unread, attempt(2, FAILED), finished=True)) == []


def test_an_attempt_that_is_cut_off_keeps_its_marker_while_there_is_no_adapter() -> None:
    assert gone(stage(attempt(1, LOST), attempt(2, FAILED))) == [(ItemKind.MARKER, "uid-2/paft_attempt.json")]
    assert (ItemKind.MARKER, "uid-1/paft_attempt.json") in gone(stage(attempt(1, LOST), finished=True))


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (EndedAttempts(job_uid=UID, why="said"), True),
        (EndedAttempts(job_uid=UID, stage=StageName.SFT, attempt=1, why="said"), True),
        (EndedAttempts(job_uid=UID, stage=StageName.SFT, attempt=2, why="said"), False),
        (EndedAttempts(job_uid=UID, stage=StageName.MERGE, why="said"), False),
        (EndedAttempts(job_uid="uid-1", why="said"), False),
    ],
)
def test_somebody_who_can_tell_that_an_attempt_is_over(told: EndedAttempts, expected: bool) -> None:
    contents = stage(attempt(1, RUNNING, uploads=upload("checkpoints/step-00000004/x")))
    assert bool(gone(contents, told)) is expected


def test_uploads_beside_the_result() -> None:
    """On S3 they are known by the file that they would become, in folders by their own name."""
    ours, temporary, foreign = "adapter_model.safetensors", ".paft-partial-1", "notes.bin"
    uploads = {**upload(ours), **upload(temporary, temporary), **upload(foreign)}
    assert gone(stage(uploads=uploads)) == []
    contents = stage(uploads=uploads, finished=True)
    assert gone(contents) == [(ItemKind.UPLOAD, temporary), (ItemKind.UPLOAD, ours)]
    kept: list[Verdict] = [one for one in judge_stage(contents) if not one.remove]
    assert [(one.name, one.why) for one in kept] == [(foreign, "no claim or marker tells that it is ours")]


def test_an_adapter_that_lost_a_file_is_not_finished() -> None:
    contents = stage(attempt(1, FAILED, 4))
    broken = StageContents(
        uri=FOLDER,
        stage=StageName.SFT,
        digest=contents.digest,
        published=PublishedContents(sizes={}, promised=dict.fromkeys(ADAPTER_FILES, SIZE)),
        attempts=contents.attempts,
    )
    assert gone(broken) == []
