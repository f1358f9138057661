"""What a kubelet writes into a Pod's status: pure."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

Object = dict[str, Any]
EXIT_KILLED = 137
EXIT_TERMINATED = 143
_NOT_READY = "ContainersNotReady"


@dataclass(frozen=True, kw_only=True, slots=True)
class ContainerEnd:
    """How a container ended. `reason`: OOMKilled where the kernel did it; default: as the exit code says.

    `message`: the termination message. `pod_reason`, `pod_message`: where the kubelet ended the whole Pod, as Evicted.
    """

    exit_code: int
    reason: str = ""
    message: str = ""
    pod_reason: str = ""
    pod_message: str = ""

    @property
    def phase(self) -> str:
        """The Pod's phase that follows."""
        return "Failed" if self.exit_code or self.pod_reason else "Succeeded"

    @property
    def told_reason(self) -> str:
        """The reason in the container's status."""
        return self.reason or ("Error" if self.exit_code else "Completed")


NEVER_STARTED = ContainerEnd(
    exit_code=EXIT_KILLED,
    reason="ContainerStatusUnknown",
    message="The container could not be located when the pod was terminated",
)
"""What the kubelet says of a container that had not started when its Pod was deleted."""
OUT_OF_MEMORY = ContainerEnd(exit_code=EXIT_KILLED, reason="OOMKilled")
"""The kernel killed process 1 at the container's memory limit."""


def waiting(pod: Object, *, reason: str, message: str) -> Object:
    """A Pod on its node whose containers have not started."""
    statuses = [_container_status(pod, one, {"waiting": {"reason": reason, "message": message}}) for one in _names(pod)]
    return _status(pod, "Pending", statuses, ready_reason=_NOT_READY)


def started(pod: Object) -> Object:
    """All containers run."""
    statuses = [_container_status(pod, one, {"running": {"startedAt": now()}}) for one in _names(pod)]
    return _status(pod, "Running", statuses, ready_reason="")


def ended(pod: Object, end: ContainerEnd, *, started_at: str) -> Object:
    """All containers have ended alike."""
    state = {
        "terminated": {
            "exitCode": end.exit_code,
            "reason": end.told_reason,
            "message": end.message,
            "startedAt": started_at,
            "finishedAt": now(),
        }
    }
    statuses = [_container_status(pod, one, state) for one in _names(pod)]
    told = {"reason": end.pod_reason, "message": end.pod_message} if end.pod_reason else {}
    return _status(pod, end.phase, statuses, ready_reason=f"Pod{_past(end.phase)}") | told


def condition(kind: str, *, holds: bool, reason: str = "", message: str = "") -> Object:
    """A condition of a Pod."""
    told = {"reason": reason, "message": message} if reason else {}
    return {"type": kind, "status": str(holds), "lastTransitionTime": now()} | told


def unschedulable(message: str) -> Object:
    """What the scheduler writes where no node fits."""
    return {"conditions": [condition("PodScheduled", holds=False, reason="Unschedulable", message=message)]}


def now() -> str:
    """The time as Kubernetes writes it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _status(pod: Object, phase: str, statuses: list[Object], *, ready_reason: str) -> Object:
    is_ready = not ready_reason
    return {
        "phase": phase,
        "hostIP": "127.0.0.1",
        "startTime": pod["status"].get("startTime") or now(),
        "conditions": [
            condition("Initialized", holds=True),
            condition("Ready", holds=is_ready, reason=ready_reason),
            condition("ContainersReady", holds=is_ready, reason=ready_reason),
        ],
        "containerStatuses": statuses,
    }


def _container_status(pod: Object, name: str, state: Object) -> Object:
    image = next(one["image"] for one in pod["spec"]["containers"] if one["name"] == name)
    is_running = "running" in state
    return {
        "name": name,
        "image": image,
        "imageID": "" if "waiting" in state else f"{image}@sha256:{'0' * 64}",
        "containerID": "" if "waiting" in state else f"containerd://{pod['metadata']['uid']}-{name}",
        "ready": is_running,
        "started": is_running,
        "restartCount": 0,
        "state": state,
    }


def _names(pod: Object) -> list[str]:
    return [one["name"] for one in pod["spec"]["containers"]]


def _past(phase: str) -> str:
    return "Completed" if phase == "Succeeded" else phase
