"""When an attempt is proven to be over. Without a proof it counts as running, however old it is."""

from collections.abc import Iterable

from paft_api.run_spec import StageIdentity
from paft_api.storage_survey import EndedAttempts
from paft_trainer.keeping.attempt_marker import AttemptEnd, AttemptMarker
from paft_trainer.keeping.contents import AttemptContents


def proof_of_end(
    attempt: AttemptContents, attempts: Iterable[AttemptContents], ended: Iterable[EndedAttempts]
) -> str | None:
    """Why an attempt is over, in words; None where nothing proves it. `attempts`: all of its folder."""
    marker = attempt.marker
    if marker is None:
        return None
    if marker.ended is not None:
        return _own_words(marker.ended)
    later = [one.marker for one in attempts if one.marker is not None and _is_later_than(marker, one.marker.identity)]
    if later:
        number = min(one.identity.attempt for one in later)
        return f"attempt {number} of its job has begun, which waits for this one's end"
    identity = marker.identity
    told = (one for one in ended if one.tell_of(identity.job_uid, identity.stage, identity.attempt))
    return next((one.why for one in told), None)


def over_before(identity: StageIdentity) -> tuple[EndedAttempts, ...]:
    """What an attempt knows when it begins: those of its job before it are over, and it has had no earlier life that is
    not. Attempts of one job and stage follow one another."""
    why = f"attempt {identity.attempt} of its job begins"
    return tuple(
        EndedAttempts(job_uid=identity.job_uid, stage=identity.stage, attempt=number, why=why)
        for number in range(1, identity.attempt + 1)
    )


def is_lost_before(marker: AttemptMarker, identity: StageIdentity) -> bool:
    """Whether a marker is of an earlier attempt of this job that wrote no end."""
    return marker.ended is None and _is_later_than(marker, identity)


def _is_later_than(marker: AttemptMarker, identity: StageIdentity) -> bool:
    same = (marker.identity.job_uid, marker.identity.stage) == (identity.job_uid, identity.stage)
    return same and identity.attempt > marker.identity.attempt


def _own_words(ended: AttemptEnd) -> str:
    if ended is AttemptEnd.LOST:
        return "its job's next attempt has found it over"
    return f"its marker says that it has {ended.lower()}"
