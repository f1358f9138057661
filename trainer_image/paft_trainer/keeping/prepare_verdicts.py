"""What can go of attempts at prepare. Pure: from what was listed and read to verdicts, whose names are whole addresses:
an attempt has tried out its rights in two places.

What prepare writes into the index is every job's, and stays.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from paft_api.storage_survey import EndedAttempts, ItemKind
from paft_trainer.keeping.contents import AttemptContents
from paft_trainer.keeping.proofs import proof_of_end
from paft_trainer.keeping.verdict import Verdict, upload_verdicts


@dataclass(frozen=True, kw_only=True, slots=True)
class PrepareContents:
    """All attempts at prepare that have left something under `artifacts_uri`, by addresses: `sizes` of each has its
    probes and its marker. `markers`: where each attempt's is. `unseen`: why not all of some attempts was seen."""

    artifacts_uri: str
    attempts: tuple[AttemptContents, ...]
    markers: Mapping[str, str]
    unseen: Mapping[str, str] = field(default_factory=dict)


def judge_prepare(contents: PrepareContents, ended: Sequence[EndedAttempts] = ()) -> list[Verdict]:
    """Verdicts on probes, unfinished writes and markers; of each job the earlier attempts first, of each attempt the
    marker last, so that a clean-up that is cut short can be proven anew."""
    verdicts: list[Verdict] = []
    unproven: set[str] = set()
    for attempt in sorted(contents.attempts, key=_job_and_number):
        over = proof_of_end(attempt, contents.attempts, ended)
        job, _ = _job_and_number(attempt)
        verdicts += _left(contents, attempt, over)
        if attempt.marker is None:
            continue
        why = None if over is not None else "it is not proven to be over"
        if over is not None and attempt.name in contents.unseen:
            why = contents.unseen[attempt.name]
        elif over is not None and job in unproven:
            why = "an earlier attempt needs it as proof"
        if why is not None:
            unproven.add(job)
        verdicts.append(_marker(contents, attempt, why or "nothing else is left of its attempt", remove=why is None))
    return verdicts


def _left(contents: PrepareContents, attempt: AttemptContents, over: str | None) -> list[Verdict]:
    why = f"attempt {attempt.name} at prepare is over: {over}"
    if over is None:
        why = "it has no marker that proves whose it is" if attempt.marker is None else "it is not proven to be over"
    probes = [
        Verdict(
            kind=ItemKind.PROBE,
            name=uri,
            remove=over is not None,
            why=why,
            objects=(uri,),
            attempt=attempt.name,
            size=size,
        )
        for uri, size in sorted(attempt.sizes.items())
        if uri != contents.markers.get(attempt.name)
    ]
    return [*probes, *upload_verdicts(attempt.uploads, remove=over is not None, why=why, attempt=attempt.name)]


def _marker(contents: PrepareContents, attempt: AttemptContents, why: str, *, remove: bool) -> Verdict:
    uri = contents.markers[attempt.name]
    return Verdict(
        kind=ItemKind.MARKER,
        name=uri,
        remove=remove,
        why=why,
        objects=(uri,),
        attempt=attempt.name,
        size=attempt.sizes[uri],
    )


def _job_and_number(attempt: AttemptContents) -> tuple[str, int]:
    if attempt.marker is None:
        return attempt.name, 0
    return attempt.marker.identity.job_uid, attempt.marker.identity.attempt
