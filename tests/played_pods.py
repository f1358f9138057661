"""One Pod as a script plays it: what the scheduler, the kubelet and the trainer inside would do to the API."""

from collections.abc import Callable, Generator

from hack.control_plane.client import CONFIG_MAP, POD, STRATEGIC_MERGE, KubernetesClient, Object
from tests.pod_statuses import (
    EXIT_KILLED,
    EXIT_TERMINATED,
    NEVER_STARTED,
    OUT_OF_MEMORY,
    ContainerEnd,
    condition,
    ended,
    now,
    started,
    unschedulable,
    waiting,
)

from paft_api.report import StageReport
from paft_api.run_spec import RunSpec
from paft_api.stage_pods import REPORT_KEY, RUN_SPEC_FILE

COMPLETION_INDEX = "batch.kubernetes.io/job-completion-index"


class VolumeMissing(Exception):
    """What a volume should mount is not there, or not any more: no container starts, and the pod waits."""


class PodTerminated(Exception):
    """SIGTERM: the Pod is being deleted. A script may catch it, save, report and exit before the grace period ends."""


class PlayedPod:
    """Methods that change the Pod at the API server, in the words of whoever does so on a real node.

    `object`: the Pod as it was last seen or answered.
    """

    def __init__(self, client: KubernetesClient, pod: Object, node: str) -> None:
        self.object = pod
        self._client = client
        self._node = node
        self._started_at: str | None = None

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.object["metadata"]["name"])

    @property
    def namespace(self) -> str:
        """Its namespace."""
        return str(self.object["metadata"]["namespace"])

    @property
    def uid(self) -> str:
        """Its uid."""
        return str(self.object["metadata"]["uid"])

    @property
    def labels(self) -> dict[str, str]:
        """Its labels."""
        return dict(self.object["metadata"].get("labels", {}))

    @property
    def completion_index(self) -> int:
        """Its index in an Indexed Job."""
        return int(self.object["metadata"].get("annotations", {}).get(COMPLETION_INDEX, 0))

    @property
    def has_ended(self) -> bool:
        """Whether its containers have ended for good."""
        return self.object["status"]["phase"] in ("Succeeded", "Failed")

    @property
    def run_spec(self) -> RunSpec:
        """What the trainer inside reads: the RunSpec in the ConfigMap that a volume mounts."""
        names = [volume["configMap"]["name"] for volume in self.object["spec"]["volumes"] if "configMap" in volume]
        config_maps = [self._client.find(CONFIG_MAP, name, self.namespace) for name in names]
        if None in config_maps:
            raise VolumeMissing()
        text = next(one["data"][RUN_SPEC_FILE] for one in config_maps if one and RUN_SPEC_FILE in one.get("data", {}))
        return RunSpec.model_validate_json(text)

    def schedule(self) -> None:
        """Put it on a node, as the scheduler does; nothing where it is on one, as after a restart of the stand-in."""
        if self.object["spec"].get("nodeName"):
            return
        target = {"apiVersion": "v1", "kind": "Node", "name": self._node}
        binding = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": self.name}, "target": target}
        self._client.post(POD, self.name, self.namespace, "binding", binding)
        self.object["spec"]["nodeName"] = self._node

    def leave_unschedulable(self, message: str = "0/1 nodes are available: 1 Insufficient nvidia.com/gpu.") -> None:
        """Say that no node fits."""
        self._patch_status(unschedulable(message))

    def wait_for_image(self, message: str = "", *, reason: str = "ImagePullBackOff") -> None:
        """Say that a container cannot start, by default because its image cannot be pulled."""
        image = self.object["spec"]["containers"][0]["image"]
        self._patch_status(waiting(self.object, reason=reason, message=message or f'Back-off pulling image "{image}"'))

    def start(self) -> None:
        """Let all containers run."""
        self._started_at = now()
        self._patch_status(started(self.object))

    def succeed(self) -> None:
        """Let all containers exit with 0."""
        self.end(ContainerEnd(exit_code=0))

    def fail(self, exit_code: int = 1, *, message: str = "") -> None:
        """Let all containers exit with a code and a termination message."""
        self.end(ContainerEnd(exit_code=exit_code, message=message))

    def be_oom_killed(self) -> None:
        """Let the kernel kill process 1."""
        self.end(OUT_OF_MEMORY)

    def end(self, end: ContainerEnd) -> None:
        """Let all containers end in this way."""
        self._patch_status(ended(self.object, end, started_at=self._started_at or now()))

    def be_disrupted(self, reason: str, message: str = "") -> None:
        """Say why it will be deleted or ended soon, such as DeletionByTaintManager or EvictionByEvictionAPI."""
        told = condition("DisruptionTarget", holds=True, reason=reason, message=message or f"{reason} of {self.name}")
        self._patch_status({"conditions": [told]})

    def be_preempted(self) -> None:
        """Give way to a Pod of higher priority: what the scheduler does."""
        self.be_disrupted("PreemptionByScheduler", f"{self._node}: preempting to accommodate a higher priority pod")
        self._client.delete(POD, self.name, self.namespace, uid=self.uid)

    def be_evicted(self, message: str = "The node was low on resource: ephemeral-storage.") -> None:
        """Be ended by a kubelet that runs out of something."""
        self.be_disrupted("TerminationByKubelet", message)
        self.end(ContainerEnd(exit_code=EXIT_KILLED, pod_reason="Evicted", pod_message=message))

    def lose_node(self) -> None:
        """Vanish with its node: what the Pod garbage collector does, without a word of the containers."""
        self.be_disrupted("DeletionByPodGC", "PodGC: node no longer exists")
        self._patch_status({"phase": "Failed"})
        self._client.delete(POD, self.name, self.namespace, grace_seconds=0, uid=self.uid)

    def write_report(self, report: StageReport) -> None:
        """Write the attempt's report as the trainer does: with the rights of the Pod's ServiceAccount."""
        self.write_report_text(report.to_json())

    def write_report_text(self, text: str) -> None:
        """Write any text where the report belongs."""
        target = self.run_spec.report_config_map
        assert target is not None
        self.write_config_map(target.name, {REPORT_KEY: text})

    def write_config_map(self, name: str, data: dict[str, str]) -> None:
        """Write to any ConfigMap of the namespace, if the Pod's ServiceAccount may."""
        account = f"system:serviceaccount:{self.namespace}:{self.object['spec']['serviceAccountName']}"
        self._client.patch(CONFIG_MAP, name, self.namespace, {"data": data}, headers={"Impersonate-User": account})

    def be_killed(self) -> None:
        """Outlive the grace period: what runs is killed."""
        self._end_if_alive(ContainerEnd(exit_code=EXIT_KILLED))

    def be_removed(self) -> None:
        """Go, as a Pod that is being deleted: what still runs exits, and nothing is left of it on the node."""
        self._end_if_alive(ContainerEnd(exit_code=EXIT_TERMINATED))
        self._client.delete(POD, self.name, self.namespace, grace_seconds=0, uid=self.uid)

    def _end_if_alive(self, end: ContainerEnd) -> None:
        if not self.has_ended:
            self.end(end if self._started_at is not None else NEVER_STARTED)

    @property
    def is_going(self) -> bool:
        """Whether it is being deleted, or the API server knows it no more."""
        found = self._client.find(POD, self.name, self.namespace)
        return found is None or found["metadata"]["uid"] != self.uid or "deletionTimestamp" in found["metadata"]

    def _patch_status(self, status: Object) -> None:
        change = {"metadata": {"uid": self.uid}, "status": status}
        self.object = self._client.patch(
            POD, self.name, self.namespace, change, subresource="status", content_type=STRATEGIC_MERGE
        )


Steps = Generator[float, None, None]
Script = Callable[[PlayedPod], Steps]
"""Plays one Pod from its creation on. It yields the seconds to wait before it goes on, and may end at any point."""


def succeeding(seconds: float = 0.0) -> Script:
    """Run for a while, then exit with 0."""
    return ending(ContainerEnd(exit_code=0), seconds=seconds)


def failing(exit_code: int = 1, *, message: str = "", seconds: float = 0.0) -> Script:
    """Run for a while, then exit with a code and a termination message."""
    return ending(ContainerEnd(exit_code=exit_code, message=message), seconds=seconds)


def ending(end: ContainerEnd, *, seconds: float = 0.0) -> Script:
    """Run for a while, then end in this way."""

    def script(pod: PlayedPod) -> Steps:
        pod.schedule()
        pod.start()
        yield seconds
        pod.end(end)

    return script


def running_until_deleted(pod: PlayedPod) -> Steps:
    """Run, and exit with 143 when the Pod is deleted."""
    pod.schedule()
    pod.start()
    yield from ()


def unschedulable_until_deleted(pod: PlayedPod) -> Steps:
    """Find no node."""
    pod.leave_unschedulable()
    yield from ()


def without_image_until_deleted(pod: PlayedPod) -> Steps:
    """Be on a node that cannot pull the image."""
    pod.schedule()
    pod.wait_for_image()
    yield from ()
