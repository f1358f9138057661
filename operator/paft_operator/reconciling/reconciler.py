"""One PaftJob: observe → plan → apply → one status write → events."""

from collections.abc import Sequence
from datetime import UTC, datetime

from paft_api.conditions import CHILDREN_REFUSED, REPORT_IGNORED
from paft_api.spec import PaftJob
from paft_api.status import Condition, ConditionType, PaftJobStatus
from paft_operator.cluster.cluster_host import ClusterHost
from paft_operator.cluster.errors import ApiError, ClusterError, ForeignObject, JobSetMissing, Outdated
from paft_operator.cluster.event_recorder import EventRecorder
from paft_operator.cluster.index import Index, KnownJob
from paft_operator.cluster.live_objects import LiveObjects
from paft_operator.observing.attempts import ignored_reports, observe
from paft_operator.observing.children import AttemptChildren, Children, children_of
from paft_operator.observing.freshness import conclusions
from paft_operator.observing.lost_pods import seconds_until_lost
from paft_operator.observing.missing_pods import seconds_until_missing
from paft_operator.observing.records import AttemptKey, JobKey, PaftJobRecord
from paft_operator.observing.unprepared_pods import seconds_until_unprepared
from paft_operator.planner.actions import Action, Event, Plan
from paft_operator.planner.observation import QueueReason
from paft_operator.planner.plan import plan
from paft_operator.reconciling.job_documents import SpecInvalid, read_job, status_of_invalid_spec
from paft_operator.reconciling.status_writer import StatusWriter
from paft_operator.serving.metrics import Metrics

_UNHEARD_SECONDS = 10.0
"""Time after a Job's end for which the last words of a pod that is gone are waited for."""
_QUEUE_SECONDS = 15.0
"""How often a queue is asked why something waits."""


class Reconciler:
    """Brings one PaftJob after the other to where its spec and its attempts say it should be."""

    def __init__(
        self,
        *,
        index: Index,
        live: LiveObjects,
        host: ClusterHost,
        statuses: StatusWriter,
        events: EventRecorder,
        metrics: Metrics,
        first_retry_seconds: float,
    ) -> None:
        self._index = index
        self._live = live
        self._host = host
        self._statuses = statuses
        self._events = events
        self._metrics = metrics
        self._first_retry_seconds = first_retry_seconds

    async def reconcile(self, key: JobKey) -> float | None:
        """Once; seconds after which it is worth another look, if time alone makes it so. Raises ClusterError."""
        known = self._index.known(key)
        record = known.paft_job if known is not None else None
        if known is None or record is None or record.is_deleting:
            self._forget(key)
            return None
        try:
            job = read_job(record)
        except SpecInvalid as error:
            await self._tell_invalid(record, error)
            return None
        children = await self._checked_children(known, record, job)
        queued = _queued(children) if job.spec.scheduling.queue_name is not None else []
        reasons = await self._queue_reasons(record, children, queued)
        now = _now()
        observed = observe(
            job,
            children,
            now,
            retry_token=record.retry_token,
            output_in_use_by=self._index.output_in_use_by(record),
            queue_reasons=reasons,
        )
        planned = plan(job, observed, now, first_retry_seconds=self._first_retry_seconds)
        try:
            await self._apply(record, job, planned.actions)
        except ClusterError as error:
            if _is_refusal(error):
                await self._tell_refused(record, job, plan(job, observed, now, may_start=False), str(error))
            raise
        wait = await self._statuses.write(record, job.status, planned.status)
        if wait is None:
            self._tell(record, job.status, planned.status, (*planned.events, *_about_reports(record.uid, children)))
        return _earliest(
            wait,
            planned.requeue_after,
            seconds_until_lost(children, now),
            seconds_until_missing(children, now),
            seconds_until_unprepared(children, now),
            _QUEUE_SECONDS if queued else None,
        )

    def _forget(self, key: JobKey) -> None:
        self._statuses.forget(key)
        self._metrics.forget(key)

    async def _checked_children(self, known: KnownJob, record: PaftJobRecord, job: PaftJob) -> Children:
        """What the watches tell; what would end an attempt is read from the API server first, once."""
        while True:
            children = children_of(record.uid, known.children.values())
            doubtful = [
                one
                for one in conclusions(
                    job.status or PaftJobStatus(), children, job_uid=record.uid, generation=record.generation
                )
                if one not in known.checked
            ]
            if not doubtful:
                return children
            for one in doubtful:
                is_complete = await self._live.read_attempt(record.key, one.attempt)
                if not is_complete and _has_just_failed(children.get(one.attempt)):
                    raise Outdated(f"a pod of {one.attempt.stage} attempt {one.attempt.attempt} is gone unheard")
                known.checked.add(one)

    async def _queue_reasons(
        self, record: PaftJobRecord, children: Children, queued: Sequence[AttemptKey]
    ) -> dict[AttemptKey, QueueReason]:
        """Workloads are not watched, but read as long as something waits."""
        found: dict[AttemptKey, QueueReason] = {}
        for key in queued:
            job, job_set = children[key].job, self._live.job_set_of(record.key, record.uid, key)
            assert job is not None
            reason = await self._live.queue_reason(record.namespace, job_set.uid if job_set is not None else job.uid)
            if reason is not None:
                found[key] = reason
        return found

    async def _apply(self, record: PaftJobRecord, job: PaftJob, actions: Sequence[Action]) -> None:
        if not actions:
            return
        await self._require_current(record)
        await self._host.apply(job, actions)

    async def _require_current(self, record: PaftJobRecord) -> None:
        """Nothing begins or ends from an old spec or status: a former leader's, or that of a watch that is behind."""
        live = await self._live.paft_job(record.key)
        if live is None or (live.uid, live.version) != (record.uid, record.version):
            raise Outdated(f"PaftJob {record.name} has changed meanwhile")

    async def _tell_invalid(self, record: PaftJobRecord, error: SpecInvalid) -> None:
        status = status_of_invalid_spec(error.status, str(error), generation=record.generation, now=_now())
        await self._statuses.write(record, error.status, status)
        stalled = status.condition(ConditionType.STALLED)
        assert stalled is not None
        event = Event(type="Warning", reason=stalled.reason, message=stalled.message)
        self._tell(record, error.status, status, (event,))

    async def _tell_refused(self, record: PaftJobRecord, job: PaftJob, resting: Plan, why: str) -> None:
        """What is so without what could not be started, and why nothing begins."""
        status = _with_refusal(job.status, resting.status, why, generation=record.generation, now=_now())
        if await self._statuses.write(record, job.status, status) is None:
            refused = Event(type="Warning", reason=CHILDREN_REFUSED, message=why)
            self._tell(record, job.status, status, (*resting.events, refused))

    def _tell(
        self, record: PaftJobRecord, before: PaftJobStatus | None, after: PaftJobStatus, events: Sequence[Event]
    ) -> None:
        self._metrics.saw(record.key, before, after)
        for event in events:
            self._events.record(record, event)


def _queued(children: Children) -> list[AttemptKey]:
    """Attempts that a queue holds back."""
    return [
        key
        for key, attempt in children.items()
        if attempt.job is not None and attempt.job.is_active and attempt.job.admitted_at is None
    ]


def _about_reports(job_uid: str, children: Children) -> list[Event]:
    return [
        Event(
            type="Warning",
            reason=REPORT_IGNORED,
            message=f"the report of {key.stage} attempt {key.attempt} is ignored: {why}",
        )
        for key, why in sorted(ignored_reports(job_uid, children).items())
    ]


def _is_refusal(error: ClusterError) -> bool:
    """Whether somebody has to do something before what is missing can be created."""
    return isinstance(error, ForeignObject | JobSetMissing) or (isinstance(error, ApiError) and error.is_refusal)


def _with_refusal(
    before: PaftJobStatus | None, resting: PaftJobStatus, why: str, *, generation: int, now: datetime
) -> PaftJobStatus:
    previous = before.condition(ConditionType.RECONCILING) if before is not None else None
    is_known = previous is not None and previous.status == "True"
    condition = Condition.model_validate(
        {
            "type": ConditionType.RECONCILING,
            "status": "True",
            "reason": CHILDREN_REFUSED,
            "message": why[:4096],
            "last_transition_time": previous.last_transition_time if is_known and previous is not None else now,
            "observed_generation": generation,
        }
    )
    others = tuple(one for one in resting.conditions if one.type is not ConditionType.RECONCILING)
    return resting.model_copy(update={"conditions": (*others, condition)})


def _has_just_failed(attempt: AttemptChildren | None) -> bool:
    """Whether the watches may still tell how its pods ended."""
    finished_at = attempt.job.finished_at if attempt is not None and attempt.job is not None else None
    return finished_at is not None and (_now() - finished_at).total_seconds() < _UNHEARD_SECONDS


def _now() -> datetime:
    """In whole seconds, as Kubernetes writes instants."""
    return datetime.now(UTC).replace(microsecond=0)


def _earliest(*waits: float | None) -> float | None:
    return min((wait for wait in waits if wait is not None), default=None)
