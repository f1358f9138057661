"""Kueue's part, played through the API: it admits Jobs, evicts them, and tells in a Workload why they wait."""

from hack.control_plane.client import CUSTOM_RESOURCE_DEFINITION, JOB, Kind, KubernetesClient, Object
from tests.helm.helm_program import is_established

WORKLOAD = Kind("kueue.x-k8s.io/v1beta1", "Workload")
_ANYTHING = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
DEFINITION: Object = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "workloads.kueue.x-k8s.io"},
    "spec": {
        "group": "kueue.x-k8s.io",
        "names": {"kind": "Workload", "listKind": "WorkloadList", "plural": "workloads", "singular": "workload"},
        "scope": "Namespaced",
        "versions": [
            {"name": "v1beta1", "served": True, "storage": True, "schema": {"openAPIV3Schema": _ANYTHING}},
        ],
    },
}
"""What the operator reads of it is in `status.conditions`, as Kueue publishes it."""


class PlayedQueue:
    """A queue for the Jobs of one namespace."""

    def __init__(self, kubernetes: KubernetesClient, namespace: str) -> None:
        self._kubernetes = kubernetes
        self._namespace = namespace
        kubernetes.apply(DEFINITION)
        kubernetes.wait_for(CUSTOM_RESOURCE_DEFINITION, DEFINITION["metadata"]["name"], None, is_established)

    def admit(self, name: str, **node_selector: str) -> None:
        """Say where its pods go, and let it go."""
        placement = {"template": {"spec": {"nodeSelector": node_selector}}} if node_selector else {}
        self._kubernetes.patch(JOB, name, self._namespace, {"spec": {"suspend": False} | placement})

    def evict(self, name: str) -> None:
        """Take its place away."""
        self._kubernetes.patch(JOB, name, self._namespace, {"spec": {"suspend": True}})

    def tell(self, name: str, **conditions: tuple[str, str, str]) -> None:
        """Let its Workload say so. `conditions`: status, reason and message by type."""
        uid = self._kubernetes.get(JOB, name, self._namespace)["metadata"]["uid"]
        self._kubernetes.apply(
            {
                "apiVersion": WORKLOAD.api_version,
                "kind": WORKLOAD.kind,
                "metadata": {
                    "name": f"job-{name}",
                    "namespace": self._namespace,
                    "labels": {"kueue.x-k8s.io/job-uid": uid},
                },
                "status": {
                    "conditions": [
                        {"type": type_, "status": status, "reason": reason, "message": message}
                        for type_, (status, reason, message) in conditions.items()
                    ]
                },
            }
        )
