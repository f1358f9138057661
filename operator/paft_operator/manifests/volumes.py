"""Volumes of a stage's pod, and where its container has them."""

from paft_api.spec.resources import ArmResources, StageResources
from paft_api.stage_pods import (
    API_ACCESS_DIRECTORY,
    CACHE_DIRECTORY,
    RUN_SPEC_DIRECTORY,
    SCRATCH_DIRECTORY,
    SHARED_MEMORY_DIRECTORY,
)
from paft_operator.manifests.settings import Manifest

_TOKEN_SECONDS = 3600
"""Lifetime of the token; the kubelet renews it in time."""


def volumes(resources: ArmResources | StageResources, *, run_spec_name: str) -> list[Manifest]:
    """Of one attempt's pods."""
    return [
        {"name": "run-spec", "configMap": {"name": run_spec_name}},
        {"name": "api-access", "projected": {"sources": _api_access()}},
        {"name": "scratch", "emptyDir": {}},
        {"name": "base-cache", "emptyDir": {}},
        *([_shared_memory(resources)] if isinstance(resources, ArmResources) else []),
    ]


def volume_mounts(resources: ArmResources | StageResources) -> list[Manifest]:
    """Of its container."""
    return [
        {"name": "run-spec", "mountPath": RUN_SPEC_DIRECTORY, "readOnly": True},
        {"name": "api-access", "mountPath": API_ACCESS_DIRECTORY, "readOnly": True},
        {"name": "scratch", "mountPath": SCRATCH_DIRECTORY},
        {"name": "base-cache", "mountPath": CACHE_DIRECTORY},
        *(
            [{"name": "shared-memory", "mountPath": SHARED_MEMORY_DIRECTORY}]
            if isinstance(resources, ArmResources)
            else []
        ),
    ]


def _api_access() -> list[Manifest]:
    """The token in a volume of our own, so that only this container has it, and not every sidecar."""
    return [
        {"serviceAccountToken": {"path": "token", "expirationSeconds": _TOKEN_SECONDS}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
    ]


def _shared_memory(resources: ArmResources) -> Manifest:
    return {"name": "shared-memory", "emptyDir": {"medium": "Memory", "sizeLimit": resources.shared_memory}}
