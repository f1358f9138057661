"""Leadership: whoever holds the Lease acts, everybody else waits.

As client-go does it: a holder that has not renewed for the Lease's duration is replaced, by a clock that each candidate
starts when it *sees* a renewal, so that clocks need not agree. The holder itself stops earlier, after the renew
deadline, whatever became of its requests; `is_held` says so even where the process was frozen meanwhile.
"""

import asyncio
import logging
import time
from dataclasses import dataclass
from datetime import UTC, datetime

from paft_operator.cluster.api_client import ApiClient
from paft_operator.cluster.errors import ClusterError, NotLeading
from paft_operator.cluster.resources import LEASES, Object

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class LeaseSettings:
    """Which Lease, who we are, and the times in seconds."""

    namespace: str
    name: str
    identity: str
    duration: float
    renew_deadline: float
    retry_interval: float


class Lease:
    """One process's part in the election."""

    def __init__(self, client: ApiClient, settings: LeaseSettings) -> None:
        self._client = client
        self._settings = settings
        self._leads = False
        self._held_until = 0.0
        self._seen: tuple[object, ...] = ()
        self._seen_at = 0.0
        self._runs_out_at = 0.0

    @property
    def is_held(self) -> bool:
        """Whether this process leads, at this very moment."""
        return _now() < self._held_until

    def require(self) -> None:
        """Raises NotLeading where this process does not lead."""
        if not self.is_held:
            raise NotLeading

    async def acquire(self) -> None:
        """Wait until this process leads."""
        while not await self._try():
            await asyncio.sleep(self._seconds_to_next_try())
        self._leads = True
        logger.info("%s leads", self._settings.identity)

    async def hold(self) -> None:
        """Renew; returns once this process does not lead any more."""
        while self.is_held:
            await asyncio.sleep(self._settings.retry_interval)
            await self._try()
        logger.error("%s does not lead any more", self._settings.identity)

    async def release(self) -> None:
        """Let another candidate lead at once."""
        if not self.is_held:
            return
        self._held_until = 0.0
        try:
            found = await self._client.get(LEASES, self._settings.namespace, self._settings.name)
            if found is not None and found["spec"].get("holderIdentity") == self._settings.identity:
                await self._client.replace(LEASES, found | {"spec": found["spec"] | {"holderIdentity": ""}})
        except ClusterError as error:
            logger.warning("the Lease could not be released, and runs out: %s", error)

    async def _try(self) -> bool:
        """Get or renew the Lease once; whether this process leads."""
        asked_at = _now()
        try:
            async with asyncio.timeout(self._settings.renew_deadline):
                won = await self._get_or_renew()
        except (ClusterError, TimeoutError) as error:
            # A conflict included: it may be the answer to our own renewal, sent twice. The next try tells.
            logger.warning("the Lease could not be renewed: %s", error or type(error).__name__)
            return self.is_held
        # From before the request: the server may have set the time of renewal any moment since.
        self._held_until = asked_at + self._settings.renew_deadline if won else 0.0
        return won

    async def _get_or_renew(self) -> bool:
        found = await self._client.get(LEASES, self._settings.namespace, self._settings.name)
        if found is None:
            await self._client.create(LEASES, self._manifest({}, transitions=0))
            return True
        return await self._take_over_or_renew(found)

    async def _take_over_or_renew(self, found: Object) -> bool:
        spec = found.get("spec", {})
        holder = spec.get("holderIdentity") or ""
        is_ours = holder == self._settings.identity
        # A leader only renews: where it finds the Lease in other hands, somebody else has led meanwhile.
        if not is_ours and (self._leads or (holder and not self._has_run_out(found))):
            return False
        transitions = spec.get("leaseTransitions", 0) + (0 if is_ours else 1)
        await self._client.replace(LEASES, self._manifest(found, transitions=transitions))
        return True

    def _has_run_out(self, found: Object) -> bool:
        spec = found.get("spec", {})
        seen = (found["metadata"]["resourceVersion"], spec.get("holderIdentity"), spec.get("renewTime"))
        if seen != self._seen:
            self._seen, self._seen_at = seen, _now()
        self._runs_out_at = self._seen_at + spec.get("leaseDurationSeconds", self._settings.duration)
        return _now() > self._runs_out_at

    def _seconds_to_next_try(self) -> float:
        left = self._runs_out_at - _now()
        return min(left + 0.05, self._settings.retry_interval) if left > 0 else self._settings.retry_interval

    def _manifest(self, found: Object, *, transitions: int) -> Object:
        now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        before = found.get("spec", {})
        is_ours = before.get("holderIdentity") == self._settings.identity
        return {
            "apiVersion": LEASES.api_version,
            "kind": LEASES.kind,
            "metadata": {"namespace": self._settings.namespace, "name": self._settings.name}
            | ({"resourceVersion": found["metadata"]["resourceVersion"]} if found else {}),
            "spec": {
                "holderIdentity": self._settings.identity,
                "leaseDurationSeconds": max(1, round(self._settings.duration)),
                "acquireTime": before.get("acquireTime", now) if is_ours else now,
                "renewTime": now,
                "leaseTransitions": transitions,
            },
        }


def _now() -> float:
    """A clock that goes on while the machine sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)
