"""What an attempt at a merge does about earlier ones, and about what is left once the merge is there."""

from collections.abc import Iterator
from contextlib import contextmanager

from paft_api.layout import merge_attempt_marker_uri
from paft_api.run_spec import StageIdentity
from paft_api.storage_survey import ItemKind
from paft_trainer.keeping.attempt_marker import AttemptEnd, AttemptMarker, write_marker
from paft_trainer.keeping.cleaning import remove
from paft_trainer.keeping.marked_attempt import EndStore, MarkedAttempt, best_effort, marked_attempt
from paft_trainer.keeping.output_verdicts import judge_output
from paft_trainer.keeping.proofs import is_lost_before, over_before
from paft_trainer.keeping.reading import read_output
from paft_trainer.storage import ObjectStore


@contextmanager
def marked_merge_attempt(
    store: ObjectStore,
    output: str,
    identity: StageIdentity,
    *,
    writes: tuple[str, ...],
    end_store: EndStore,
    in_cluster: bool = False,
) -> Iterator[MarkedAttempt]:
    """An attempt at a merge whose output is claimed, from its marker to its end. `writes`: names of the files that it
    may stream. Raises errors of the store before it begins only."""
    uri = merge_attempt_marker_uri(output, identity.job_uid, identity.attempt)
    marker = AttemptMarker.begin(identity, in_cluster=in_cluster, writes=writes)
    with marked_attempt(store, uri, marker, end_store=end_store) as attempt:
        best_effort("what earlier attempts left", lambda: clean_up_before(store, output, identity))
        yield attempt


def clean_up_before(store: ObjectStore, output: str, identity: StageIdentity) -> None:
    """At the start: remove unfinished uploads where all other attempts are over, and write into the markers of earlier
    attempts of this job that they are. Raises errors of the store."""
    contents = read_output(store, output)
    verdicts = judge_output(contents, over_before(identity))
    remove(store, output, [one for one in verdicts if one.remove and one.kind is ItemKind.UPLOAD])
    for one in contents.attempts:
        if one.marker is not None and is_lost_before(one.marker, identity):
            uri = merge_attempt_marker_uri(output, identity.job_uid, one.marker.identity.attempt)
            write_marker(store, uri, one.marker.end(AttemptEnd.LOST))


def clean_up_after(store: ObjectStore, output: str) -> None:
    """Once the merge is there: remove what no reader wants, whoever left it. An attempt that still writes the same is
    told by its store that its upload is gone, and takes what is there. Raises errors of the store."""
    contents = read_output(store, output)
    remove(store, output, [one for one in judge_output(contents) if one.remove])
