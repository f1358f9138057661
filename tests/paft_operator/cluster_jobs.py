"""PaftJobs at a real API server, and what became of them."""

import time
from collections.abc import Callable
from typing import Any

from hack.control_plane.client import CONFIG_MAP, EVENT, JOB, POD, Kind, KubernetesClient, Object

from paft_api import labels
from paft_api.spec.job import API_VERSION, KIND

PAFT_JOB = Kind(API_VERSION, KIND)
SERVICE = Kind("v1", "Service")
SERVICE_ACCOUNT = Kind("v1", "ServiceAccount")
ROLE = Kind("rbac.authorization.k8s.io/v1", "Role")
ROLE_BINDING = Kind("rbac.authorization.k8s.io/v1", "RoleBinding")
CHILDREN = (JOB, CONFIG_MAP, SERVICE, SERVICE_ACCOUNT, ROLE, ROLE_BINDING)


def minimal_job(name: str = "tiny", *, output: str | None = None, **run_policy: object) -> Object:
    """A PaftJob with one CPU process per arm. `run_policy`: fields of spec.runPolicy, in the document's spelling."""
    cpu = {"gpusPerNode": 0}
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {"name": name},
        "spec": {
            "base": {"uri": "s3://models/tiny/"},
            "storage": {"artifactsUri": f"s3://paft/{name}/"},
            "sft": {"data": {"train": [{"uri": "s3://data/chats.jsonl", "format": "messages"}]}, "resources": cpu},
            "preference": {
                "data": {"train": [{"uri": "s3://data/pairs.jsonl", "format": "preference"}]},
                "resources": cpu,
            },
            "merge": {"output": {"uri": output or f"s3://models/{name}-paft/"}},
            "runPolicy": run_policy,
        },
    }


class ClusterJobs:
    """PaftJobs of one namespace."""

    def __init__(self, client: KubernetesClient, namespace: str) -> None:
        self._client = client
        self.namespace = namespace

    def create(self, manifest: Object) -> Object:
        """As `kubectl create` does."""
        return self._client.create({**manifest, "metadata": manifest["metadata"] | {"namespace": self.namespace}})

    def get(self, name: str = "tiny") -> Object:
        """As it is now."""
        return self._client.get(PAFT_JOB, name, self.namespace)

    def change(self, change: Object, name: str = "tiny") -> Object:
        """Merge a change into it."""
        return self._client.patch(PAFT_JOB, name, self.namespace, change)

    def delete(self, name: str = "tiny") -> None:
        """As `kubectl delete` does."""
        self._client.delete(PAFT_JOB, name, self.namespace)

    def wait(self, is_met: Callable[[Object], object], name: str = "tiny", *, seconds: float = 60) -> Object:
        """Until the status says so; the PaftJob."""
        return self._client.wait_for(
            PAFT_JOB, name, self.namespace, lambda job: "status" in job and is_met(job["status"]), seconds=seconds
        )

    def wait_for_phase(self, phase: str, name: str = "tiny", *, seconds: float = 60) -> Object:
        """Until status.phase is this; the PaftJob."""
        return self.wait(lambda status: status["phase"] == phase, name, seconds=seconds)

    def children(self, *kinds: Kind, name: str = "tiny") -> list[str]:
        """The objects of a PaftJob, as sorted "Kind name"; of all kinds but pods if none is given."""
        selector = f"{labels.JOB_NAME}={name}"
        return sorted(
            f"{kind.kind} {one['metadata']['name']}"
            for kind in kinds or CHILDREN
            for one in self._client.list(kind, self.namespace, labels=selector)
        )

    def jobs(self, name: str = "tiny") -> list[Object]:
        """Its Jobs."""
        return self._client.list(JOB, self.namespace, labels=f"{labels.JOB_NAME}={name}")

    def pods(self, name: str = "tiny") -> list[Object]:
        """Its pods."""
        return self._client.list(POD, self.namespace, labels=f"{labels.JOB_NAME}={name}")

    def events(self, name: str = "tiny") -> list[tuple[str, str, str]]:
        """Type, reason and message of the Events about it, as `kubectl describe` finds them; in the order of time."""
        found = [one for one in self._client.list(EVENT, self.namespace) if one["involvedObject"]["name"] == name]
        ordered = sorted(found, key=lambda one: one["eventTime"])
        return [(one["type"], one["reason"], one["message"]) for one in ordered]


def condition(job_or_status: Object, type_: str) -> dict[str, Any]:
    """A condition; empty where there is none of this type."""
    status = job_or_status.get("status", job_or_status)
    return next((one for one in status.get("conditions", []) if one["type"] == type_), {})


def stage(job_or_status: Object, name: str) -> dict[str, Any]:
    """The entry of a stage; empty where there is none."""
    status = job_or_status.get("status", job_or_status)
    return next((one for one in status.get("stages", []) if one["name"] == name), {})


def wait_until(is_met: Callable[[], bool], seconds: float = 30.0) -> None:
    """Look again and again; AssertionError after so many seconds."""
    deadline = time.monotonic() + seconds
    while not is_met():
        assert time.monotonic() < deadline, f"not met within {seconds} s"
        time.sleep(0.1)
