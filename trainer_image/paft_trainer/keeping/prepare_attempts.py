"""What an attempt at prepare does about earlier attempts of its own job, and about its own marker."""

from collections.abc import Iterator
from contextlib import contextmanager

from paft_api.layout import attempt_name, prepare_attempt_marker_uri
from paft_api.run_spec import StageIdentity
from paft_trainer.keeping.attempt_marker import AttemptMarker
from paft_trainer.keeping.cleaning import remove
from paft_trainer.keeping.marked_attempt import EndStore, best_effort, marked_attempt
from paft_trainer.keeping.prepare_verdicts import judge_prepare
from paft_trainer.keeping.proofs import over_before
from paft_trainer.keeping.reading_prepare import read_prepare
from paft_trainer.storage import ObjectStore


@contextmanager
def marked_prepare_attempt(
    store: ObjectStore,
    artifacts_uri: str,
    identity: StageIdentity,
    *,
    probes: tuple[str, ...],
    end_store: EndStore,
    in_cluster: bool = False,
) -> Iterator[None]:
    """An attempt at prepare, from its marker to its end. `probes`: addresses that it may write to outside of the index.

    One that succeeds leaves nothing that has to be proven, not even its marker. Raises errors of the store before it
    begins only.
    """
    uri = prepare_attempt_marker_uri(artifacts_uri, identity.job_uid, identity.attempt)
    marker = AttemptMarker.begin(identity, in_cluster=in_cluster, writes=probes)
    with marked_attempt(store, uri, marker, end_store=end_store):
        best_effort("what earlier attempts left", lambda: clean_up_before(store, artifacts_uri, identity))
        yield
    best_effort("the marker of this attempt", lambda: end_store().delete(uri))


def clean_up_before(store: ObjectStore, artifacts_uri: str, identity: StageIdentity) -> None:
    """At the start: remove what earlier attempts of this job have left. Raises errors of the store."""
    earlier = {attempt_name(identity.job_uid, number) for number in range(1, identity.attempt)}
    if earlier:
        verdicts = judge_prepare(read_prepare(store, artifacts_uri), over_before(identity))
        remove(store, "", [one for one in verdicts if one.remove and one.attempt in earlier])
