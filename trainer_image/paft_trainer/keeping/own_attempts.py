"""What an attempt at an arm does about earlier attempts of its own job, which were over before it began."""

from collections.abc import Iterator
from contextlib import contextmanager

from paft_api.layout import ATTEMPTS, attempt_marker_uri, attempt_name
from paft_api.run_spec import StageIdentity
from paft_api.spec.training import KeepSpec
from paft_api.storage_survey import ItemKind
from paft_trainer.keeping.attempt_marker import AttemptEnd, AttemptMarker, write_marker
from paft_trainer.keeping.cleaning import remove
from paft_trainer.keeping.contents import AttemptContents
from paft_trainer.keeping.marked_attempt import EndStore, MarkedAttempt, best_effort, marked_attempt
from paft_trainer.keeping.proofs import is_lost_before, over_before
from paft_trainer.keeping.reading import read_stage
from paft_trainer.keeping.saved_checkpoints import checkpoints_among, delete_checkpoint, superseded
from paft_trainer.keeping.stage_verdicts import judge_stage
from paft_trainer.storage import ObjectStore

_NEVER_TAKEN_UP = (ItemKind.UPLOAD, ItemKind.TORN_CHECKPOINT)


@contextmanager
def marked_arm_attempt(
    store: ObjectStore,
    stage_folder: str,
    identity: StageIdentity,
    keep: KeepSpec,
    *,
    end_store: EndStore,
    in_cluster: bool = False,
) -> Iterator[MarkedAttempt]:
    """An attempt at an arm, from its marker to its end. Raises errors of the store before it begins only."""
    uri = _marker_uri(stage_folder + ATTEMPTS, identity.job_uid, identity.attempt)
    marker = AttemptMarker.begin(identity, in_cluster=in_cluster, keep=keep)
    with marked_attempt(store, uri, marker, end_store=end_store) as attempt:
        best_effort("what earlier attempts left", lambda: clean_up_before(store, stage_folder, identity))
        yield attempt


def clean_up_before(store: ObjectStore, stage_folder: str, identity: StageIdentity) -> None:
    """At the start, before this attempt has written anything but its marker: remove what earlier attempts of its job
    have left that nobody takes up, unfinished uploads and torn checkpoints, and write into their markers that they are
    over. Raises errors of the store."""
    contents = read_stage(store, stage_folder, identity.stage)
    own = {one.name for one in contents.attempts if _is_own(one, identity)}
    verdicts = [
        one
        for one in judge_stage(contents, over_before(identity))
        if one.kind in _NEVER_TAKEN_UP and one.attempt in own
    ]
    remove(store, stage_folder, [one for one in verdicts if one.remove])
    for one in contents.attempts:
        if one.marker is not None and is_lost_before(one.marker, identity):
            uri = _marker_uri(stage_folder + ATTEMPTS, identity.job_uid, one.marker.identity.attempt)
            write_marker(store, uri, one.marker.end(AttemptEnd.LOST))


def apply_retention(store: ObjectStore, attempts_folder: str, identity: StageIdentity, keep: KeepSpec) -> None:
    """After a checkpoint: remove those of all attempts of this job that training.keep lets go. Raises errors of the
    store."""
    infos = list(store.list(attempts_folder))
    uris = {info.uri for info in infos}
    own = tuple(
        f"{attempts_folder}{attempt_name(identity.job_uid, number)}/"
        for number in range(1, identity.attempt + 1)
        if number == identity.attempt or _marker_uri(attempts_folder, identity.job_uid, number) in uris
    )
    saved = checkpoints_among(store, [info for info in infos if info.uri.startswith(own)])
    for checkpoint in superseded(saved, last=keep.last, best=keep.best):
        delete_checkpoint(store, checkpoint)


def _is_own(attempt: AttemptContents, identity: StageIdentity) -> bool:
    marker = attempt.marker
    return (
        marker is not None
        and marker.identity.job_uid == identity.job_uid
        and marker.identity.attempt <= identity.attempt
    )


def _marker_uri(attempts_folder: str, job_uid: str, attempt: int) -> str:
    return attempt_marker_uri(f"{attempts_folder}{attempt_name(job_uid, attempt)}/")
