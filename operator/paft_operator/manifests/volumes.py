"""Volumes of a stage's pod, and where its container has them."""

from collections.abc import Sequence

from paft_api.run_spec import SecretFolder
from paft_api.spec import BaseCacheSpec, PaftJob
from paft_api.spec.resources import ArmResources
from paft_api.stage_pods import (
    API_ACCESS_DIRECTORY,
    CACHE_DIRECTORY,
    CREDENTIALS_DIRECTORY,
    NODE_CACHE_DIRECTORY,
    RUN_SPEC_DIRECTORY,
    SCRATCH_DIRECTORY,
    SECRET_KEYS,
    SHARED_MEMORY_DIRECTORY,
    TRACKER_CREDENTIALS_DIRECTORY,
    TRACKER_SECRET_KEYS,
)
from paft_operator.manifests.run_spec_config_map import pod_run_spec
from paft_operator.manifests.settings import Manifest
from paft_operator.manifests.stage_resources import stage_resources
from paft_operator.planner.actions import StartAttempt

_TOKEN_SECONDS = 3600
"""Lifetime of the token; the kubelet renews it in time."""


def volumes(job: PaftJob, action: StartAttempt, *, run_spec_name: str) -> list[Manifest]:
    """Of one attempt's pods."""
    resources = stage_resources(job, action.stage)
    told = pod_run_spec(job, action)
    cache = job.spec.base.cache if told.base_cache is not None else None
    return [
        {"name": "run-spec", "configMap": {"name": run_spec_name}},
        {"name": "api-access", "projected": {"sources": _api_access()}},
        *([{"name": "credentials", "projected": {"sources": _secrets(told.credentials)}}] if told.credentials else []),
        *(
            [{"name": "tracker-credentials", "projected": {"sources": _tracker_secrets(told.tracker_credentials)}}]
            if told.tracker_credentials
            else []
        ),
        {"name": "scratch", "emptyDir": {}},
        {"name": "base-cache", "emptyDir": {}},
        *([{"name": "node-cache", **_node_cache(cache)}] if cache is not None else []),
        *([_shared_memory(resources)] if isinstance(resources, ArmResources) else []),
    ]


def volume_mounts(job: PaftJob, action: StartAttempt) -> list[Manifest]:
    """Of its container."""
    told = pod_run_spec(job, action)
    read_only = {"run-spec": RUN_SPEC_DIRECTORY, "api-access": API_ACCESS_DIRECTORY}
    if told.credentials:
        read_only["credentials"] = CREDENTIALS_DIRECTORY
    if told.tracker_credentials:
        read_only["tracker-credentials"] = TRACKER_CREDENTIALS_DIRECTORY
    writable = {"scratch": SCRATCH_DIRECTORY, "base-cache": CACHE_DIRECTORY}
    if told.base_cache is not None:
        writable["node-cache"] = NODE_CACHE_DIRECTORY
    if isinstance(stage_resources(job, action.stage), ArmResources):
        writable["shared-memory"] = SHARED_MEMORY_DIRECTORY
    return [
        *({"name": name, "mountPath": path, "readOnly": True} for name, path in read_only.items()),
        *({"name": name, "mountPath": path} for name, path in writable.items()),
    ]


def _api_access() -> list[Manifest]:
    """The token in a volume of our own, so that only this container has it, and not every sidecar."""
    return [
        {"serviceAccountToken": {"path": "token", "expirationSeconds": _TOKEN_SECONDS}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
    ]


def _secrets(folders: Sequence[SecretFolder]) -> list[Manifest]:
    """A folder for each Secret. A pod starts once all keys are there that have to be; the others may come later."""
    return [
        {"secret": {"name": folder.secret_name, "items": _items(folder, required=required), "optional": not required}}
        for folder in folders
        for required in (True, False)
    ]


def _tracker_secrets(folders: Sequence[SecretFolder]) -> list[Manifest]:
    """The same. None of its keys has to be there: which ones a tracker needs is its server's matter."""
    return [
        {
            "secret": {
                "name": folder.secret_name,
                "items": [{"key": key, "path": f"{folder.secret_name}/{key}"} for key in TRACKER_SECRET_KEYS],
                "optional": True,
            }
        }
        for folder in folders
    ]


def _items(folder: SecretFolder, *, required: bool) -> list[Manifest]:
    keys = [key for key, is_required in SECRET_KEYS.items() if is_required is required]
    return [{"key": key, "path": f"{folder.secret_name}/{key}"} for key in keys]


def _node_cache(cache: BaseCacheSpec) -> Manifest:
    if cache.host_path is not None:
        return {"hostPath": {"path": cache.host_path.path, "type": "DirectoryOrCreate"}}
    if cache.persistent_volume_claim is not None:
        return {"persistentVolumeClaim": {"claimName": cache.persistent_volume_claim.claim_name}}
    assert cache.empty_dir is not None
    return {"emptyDir": cache.empty_dir.to_document()}


def _shared_memory(resources: ArmResources) -> Manifest:
    return {"name": "shared-memory", "emptyDir": {"medium": "Memory", "sizeLimit": resources.shared_memory}}
