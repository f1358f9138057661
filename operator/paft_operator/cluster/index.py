"""What is known of all PaftJobs and their objects, by PaftJob.

Watches repeat, delay and reorder what they tell, and lists may be old: an object is only ever replaced by a newer
version of it, and one that was deleted does not come back. Versions of all objects of a kind are comparable.
"""

from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from paft_operator.observing.records import (
    ChildRecord,
    JobKey,
    JobRecord,
    Output,
    PaftJobRecord,
    PodRecord,
    Record,
)

REMEMBERED_DELETIONS = 20_000
"""Deleted objects of which the version is remembered, the newest."""


_Identity = tuple[type[Record], str, str]


class ChildKey(NamedTuple):
    """Which object of a PaftJob: Job, Pod, RunSpec or report, by its name."""

    kind: type[ChildRecord]
    name: str


@dataclass(slots=True)
class KnownJob:
    """One PaftJob and its objects. `checked`: what was read from the API server itself, see `freshness`."""

    paft_job: PaftJobRecord | None = None
    children: dict[ChildKey, ChildRecord] = field(default_factory=dict)
    checked: set[object] = field(default_factory=set)


class Index:
    """All of it. For one event loop; `is_news` may be asked from other threads.

    `on_output_change` is called for each PaftJob to whose output another began or ceased to publish.
    """

    def __init__(self, on_output_change: Callable[[JobKey], None] = lambda key: None) -> None:
        self._on_output_change = on_output_change
        self._jobs: dict[JobKey, KnownJob] = {}
        self._deletions: OrderedDict[_Identity, int] = OrderedDict()
        self._outputs: dict[Output, set[JobKey]] = {}

    @property
    def size(self) -> int:
        """Number of PaftJobs, those included of which only objects are known."""
        return len(self._jobs)

    def job_keys(self) -> list[JobKey]:
        """All PaftJobs."""
        return list(self._jobs)

    def known(self, key: JobKey) -> KnownJob | None:
        """A PaftJob and its objects; not to be changed but for `checked`."""
        return self._jobs.get(key)

    def is_news(self, record: Record, *, deleted: bool = False) -> bool:
        """Whether a version of an object, or its deletion in this version, is newer than what is known of it."""
        found = self._find(record)
        forgotten = self._deletions.get(_identity(record), 0)
        if deleted:
            return found is None or record.version >= found.version
        return record.version > max(forgotten, found.version if found is not None else 0)

    def has_paft_job(self, key: JobKey, version: int) -> bool:
        """Whether this version of a PaftJob, or a newer one, is known."""
        known = self._jobs.get(key)
        return known is not None and known.paft_job is not None and known.paft_job.version >= version

    def put(self, record: Record) -> JobKey | None:
        """Remember an object; the PaftJob it belongs to, or None where it is nothing new."""
        if not self.is_news(record):
            return None
        known = self._jobs.setdefault(record.key, KnownJob())
        if isinstance(record, PaftJobRecord):
            self._move_output(known.paft_job, record)
            if known.paft_job is not None and known.paft_job.uid != record.uid:
                known.checked.clear()
            known.paft_job = record
        else:
            known.children[ChildKey(type(record), record.name)] = record
        if isinstance(record, JobRecord) and record.admitted_at is None:
            self._forget_gone_pods(known, record)
        return record.key

    def remove(self, record: Record) -> JobKey | None:
        """Forget an object that was deleted, `record` being its last version; None where that is nothing new.

        One that was created anew under the same name stays. A pod that tells how it ended is remembered as long as its
        Job, which may say only later that it has failed; but not past a time in a queue, which deletes all pods.
        """
        if not self.is_news(record, deleted=True):
            return None
        self._forget(record)
        if isinstance(record, PodRecord) and record.tells_an_end and self._has_admitted_job(record):
            last_words = replace(record, is_gone=True)
            self._jobs[record.key].children[ChildKey(PodRecord, record.name)] = last_words
        return record.key

    def absent(self, record: Record) -> None:
        """Forget an object that the API server itself says is not there, `record` being what was known of it."""
        self._forget(record)

    def retain(
        self, kind: type[Record], namespace: str | None, listed: Collection[tuple[str, str]], *, version: int
    ) -> list[JobKey]:
        """Forget objects of a kind that a complete list does not have; the PaftJobs they belonged to.

        `listed`: namespaces and names. `version`: the list's; what is newer than the list stays.
        """
        gone = [
            record
            for record in self._records(kind)
            if record.version <= version
            and namespace in (None, record.namespace)
            and (record.namespace, record.name) not in listed
            and not (isinstance(record, PodRecord) and record.is_gone)
        ]
        for record in gone:
            self._forget(record)
        return [record.key for record in gone]

    def output_in_use_by(self, job: PaftJobRecord) -> str | None:
        """The oldest older PaftJob that has not ended and publishes to the same output, as namespace/name."""
        if job.output is None:
            return None
        sharing = (self._jobs[key].paft_job for key in self._outputs.get(job.output, ()) if key != job.key)
        older = [one for one in sharing if one is not None and not one.has_ended and _age(one) < _age(job)]
        return "/".join(min(older, key=_age).key) if older else None

    def _records(self, kind: type[Record]) -> Iterator[Record]:
        for known in self._jobs.values():
            if kind is PaftJobRecord:
                if known.paft_job is not None:
                    yield known.paft_job
            else:
                yield from (child for key, child in known.children.items() if key.kind is kind)

    def _find(self, record: Record) -> Record | None:
        known = self._jobs.get(record.key)
        if known is None:
            return None
        if isinstance(record, PaftJobRecord):
            return known.paft_job
        return known.children.get(ChildKey(type(record), record.name))

    def _forget(self, record: Record) -> None:
        identity = _identity(record)
        self._deletions[identity] = max(record.version, self._deletions.get(identity, 0))
        self._deletions.move_to_end(identity)
        if len(self._deletions) > REMEMBERED_DELETIONS:
            self._deletions.popitem(last=False)
        known = self._jobs.get(record.key)
        if known is None:
            return
        if isinstance(record, PaftJobRecord):
            self._move_output(known.paft_job, None)
            known.paft_job = None
            known.checked.clear()
        else:
            known.children.pop(ChildKey(type(record), record.name), None)
        if isinstance(record, JobRecord):
            self._forget_gone_pods(known, record)
        if known.paft_job is None and not known.children:
            del self._jobs[record.key]

    def _has_admitted_job(self, pod: PodRecord) -> bool:
        known = self._jobs.get(pod.key)
        return known is not None and any(
            isinstance(job, JobRecord) and job.uid == pod.owner_uid and job.admitted_at is not None
            for job in known.children.values()
        )

    def _forget_gone_pods(self, known: KnownJob, job: JobRecord) -> None:
        gone = [
            key
            for key, child in known.children.items()
            if isinstance(child, PodRecord) and child.is_gone and child.owner_uid == job.uid
        ]
        for key in gone:
            del known.children[key]

    def _move_output(self, before: PaftJobRecord | None, after: PaftJobRecord | None) -> None:
        told = {(job.output, job.has_ended) for job in (before, after) if job is not None and job.output is not None}
        if before is not None and before.output is not None:
            self._outputs[before.output].discard(before.key)
            if not self._outputs[before.output]:
                del self._outputs[before.output]
        if after is not None and after.output is not None:
            self._outputs.setdefault(after.output, set()).add(after.key)
        if before is not None and (after is None or len(told) > 1):
            self._tell_sharing({output for output, _ in told})

    def _tell_sharing(self, outputs: set[Output]) -> None:
        for output in outputs:
            for key in self._outputs.get(output, ()):
                self._on_output_change(key)


def _identity(record: Record) -> _Identity:
    return type(record), record.namespace, record.name


def _age(job: PaftJobRecord) -> tuple[str, str]:
    return job.created_at, job.uid
