"""Where one situation is played: a namespace of its own, with PaftJobs, what plays their pods, and the operator."""

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hack.control_plane.client import EVENT, JOB, Kind, KubernetesClient, Object
from tests.kubelet_stand_in import KubeletStandIn
from tests.paft_operator.cluster_jobs import ClusterJobs, minimal_job, stage
from tests.paft_operator.life_cycle.recorded_jobs import RecordedJobs
from tests.paft_operator.life_cycle.truthfulness import require_truthful
from tests.played_pods import Script

_PLAYING = threading.Lock()
PATIENCE_SECONDS = 150.0
"""Far longer than anything takes: many situations share a busy machine."""


@dataclass(kw_only=True)
class Place:
    """`namespace`: its own. `name`: of its PaftJob, which no other place has. `patience`: seconds of each wait."""

    kubeconfig: Path
    kubernetes: KubernetesClient
    kubelet: KubeletStandIn
    recorded: RecordedJobs
    namespace: str
    name: str
    patience: float = PATIENCE_SECONDS
    jobs: ClusterJobs = field(init=False)

    def __post_init__(self) -> None:
        self.jobs = ClusterJobs(self.kubernetes, self.namespace)

    def play(self, script: Script, stage_name: str = "", attempt: int = 0, *, name: str = "") -> None:
        """Play pods that appear from now on; what was said last counts. Others do what a stage does."""
        labels = {"paft.dev/job-name": name or self.name}
        labels |= {"paft.dev/stage": stage_name} if stage_name else {}
        labels |= {"paft.dev/attempt": str(attempt)} if attempt else {}
        with _PLAYING:
            self.kubelet.play(script, labels, first=True)

    def create(self, change: Callable[[Object], object] = lambda spec: None, **run_policy: object) -> Object:
        """Create a minimal PaftJob. `change` may change its spec."""
        manifest = minimal_job(self.name, **run_policy)
        change(manifest["spec"])
        return self.jobs.create(manifest)

    def create_other(self, name: str, **fields: Any) -> Object:
        """Create another one in the same namespace."""
        return self.jobs.create(minimal_job(name, **fields))

    def get(self) -> Object:
        """The PaftJob as it is now."""
        return self.jobs.get(self.name)

    def change(self, spec: Object) -> Object:
        """Merge a change into the PaftJob's spec."""
        return self._changed({"spec": spec})

    def ask_for_retry(self, token: str) -> None:
        """What `paft retry` does."""
        self._changed({"metadata": {"annotations": {"paft.dev/retry": token}}})

    def _changed(self, change: Object) -> Object:
        """What is waited for after it, is waited for from this version on."""
        return self.see(self.jobs.change(change, self.name))

    def see(self, job: Object) -> Object:
        """Wait until a version of a PaftJob is recorded."""
        version = int(job["metadata"]["resourceVersion"])
        return self.recorded.wait(
            self.namespace,
            job["metadata"]["name"],
            lambda job: int(job["metadata"]["resourceVersion"]) >= version,
            seconds=self.patience,
        )

    def wait(self, is_met: Callable[[Object], object], *, name: str = "") -> Object:
        """Until the status says so; the PaftJob at that moment."""
        return self.recorded.wait(
            self.namespace,
            name or self.name,
            lambda job: "status" in job and is_met(job["status"]),
            seconds=self.patience,
        )

    def wait_for_phase(self, phase: str, *, name: str = "") -> Object:
        """Until status.phase is this, of the spec as it is then."""
        return self.recorded.wait(
            self.namespace, name or self.name, lambda job: _has_phase(job, phase), seconds=self.patience
        )

    def wait_for_stage(self, stage_name: str, state: str, *, attempt: int = 0, name: str = "") -> Object:
        """Until a stage is in this state, in this attempt if one is given; the PaftJob."""
        return self.wait(
            lambda status: (
                stage(status, stage_name).get("state") == state and attempt in (0, stage(status, stage_name)["attempt"])
            ),
            name=name,
        )

    def wait_for_progress(self, stage_name: str, *, attempt: int = 1, name: str = "") -> Object:
        """Until an attempt has told how long it will take; steps of earlier ones stay. The PaftJob."""
        return self.wait(
            lambda status: (
                stage(status, stage_name).get("eta") is not None and stage(status, stage_name)["attempt"] == attempt
            ),
            name=name,
        )

    def wait_for_event(self, reason: str, *, name: str = "") -> tuple[str, str]:
        """Type and message of the first Event of this reason."""
        found: list[tuple[str, str]] = []

        def is_told() -> bool:
            found.extend((kind, message) for kind, told, message in self.events(name=name) if told == reason)
            return bool(found)

        self.eventually(is_told, f"no Event {reason}")
        return found[0]

    def events(self, *, name: str = "") -> list[tuple[str, str, str]]:
        """Type, reason and message of all Events about the PaftJob."""
        return self.jobs.events(name or self.name)

    def children(self, *kinds: Kind) -> list[str]:
        """The PaftJob's objects, as sorted "Kind name" without the PaftJob's own name."""
        return [one.replace(f"{self.name}-", "") for one in self.jobs.children(*kinds, name=self.name)]

    def job_of(self, stage_name: str, attempt: int = 1) -> Object:
        """The Job of an attempt."""
        return self.kubernetes.get(JOB, self.name_of(stage_name, attempt), self.namespace)

    def name_of(self, stage_name: str, attempt: int = 1) -> str:
        """The name that an attempt's objects have."""
        return f"{self.name}-{stage_name}-{attempt}"

    def eventually(self, is_met: Callable[[], object], otherwise: str = "") -> None:
        """Wait for something that no PaftJob's status tells."""
        deadline = time.monotonic() + self.patience
        while not is_met():
            assert time.monotonic() < deadline, f"{otherwise or 'it did not happen'}: {self.told()}"
            time.sleep(0.5)

    def told(self) -> str:
        """What the PaftJob and its Events say, for messages of failed tests."""
        versions = self.recorded.versions(self.namespace, self.name)
        status = json.dumps(versions[-1].get("status") if versions else None)
        return f"{status}; Events {self.kubernetes.list(EVENT, self.namespace) and self.events()}"

    def require_truthful(self) -> None:
        """Nothing that was ever said of these PaftJobs was wrong."""
        for name in self.recorded.names(self.namespace):
            require_truthful(self.recorded.versions(self.namespace, name))


def _has_phase(job: Object, phase: str) -> bool:
    status = job.get("status", {})
    if status.get("observedGeneration") != job["metadata"]["generation"]:
        return False
    is_over = status["phase"] == "Failed" and status.get("retryToken") == _wish(job)
    assert phase != "Succeeded" or not is_over, f"it has failed: {status}"
    return bool(status["phase"] == phase)


def _wish(job: Object) -> str | None:
    wish: str | None = job["metadata"].get("annotations", {}).get("paft.dev/retry")
    return wish
