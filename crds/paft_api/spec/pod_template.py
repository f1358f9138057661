"""spec.trainer.podTemplate: which parts of a pod its users may change, and which a stage relies on.

Refused is only what would break a stage or has a field of its own. Whether a pod is allowed at all is for the
namespace's Pod Security level to say, and whether its fields exist for the API server.
"""

import posixpath
from collections.abc import Mapping, Sequence, Sized
from typing import Any

from paft_api import stage_pods
from paft_api.labels import is_reserved

OWN_VOLUMES = ("run-spec", "api-access", "shared-memory", "credentials", "node-cache")
"""Volumes of a stage that cannot be replaced. Its others, scratch and base-cache, can."""

OWN_DIRECTORIES = (
    stage_pods.RUN_SPEC_DIRECTORY,
    stage_pods.API_ACCESS_DIRECTORY,
    stage_pods.SHARED_MEMORY_DIRECTORY,
    stage_pods.SCRATCH_DIRECTORY,
    stage_pods.CACHE_DIRECTORY,
    stage_pods.NODE_CACHE_DIRECTORY,
    stage_pods.CREDENTIALS_DIRECTORY,
    stage_pods.TERMINATION_LOG,
)
"""Nothing may be mounted there or above."""

MAXIMUM_ENTRIES = 256
"""Of each list and map that is looked at here."""

_RENDEZVOUS = "the pods of an arm find one another by it"
_NEW_ATTEMPT = "what failed is tried again as a new attempt"
_WHY_IT_FAILED = "it tells the operator why a stage failed"
POD_FIELDS = {
    "restartPolicy": _NEW_ATTEMPT,
    "hostname": _RENDEZVOUS,
    "subdomain": _RENDEZVOUS,
    "setHostnameAsFQDN": _RENDEZVOUS,
    "activeDeadlineSeconds": "use runPolicy.activeDeadlineSeconds",
    "terminationGracePeriodSeconds": "use trainer.terminationGracePeriodSeconds",
    "serviceAccountName": "use trainer.serviceAccountName",
    "serviceAccount": "use trainer.serviceAccountName",
}
"""Fields of the pod that cannot be set, and why or what to use instead."""

CONTAINER_FIELDS = {
    "command": "it starts the stage",
    "args": "they name the stage",
    "image": "use trainer.image",
    "imagePullPolicy": "use trainer.imagePullPolicy",
    "restartPolicy": _NEW_ATTEMPT,
    "restartPolicyRules": _NEW_ATTEMPT,
    "terminationMessagePath": _WHY_IT_FAILED,
    "terminationMessagePolicy": _WHY_IT_FAILED,
}
"""The same of the stage's container."""


def require_no_conflict(template: dict[str, Any]) -> dict[str, Any]:
    """Raises ValueError for the first part that a stage relies on, or that has not the form of a pod template."""
    _require_no_nulls(template, "podTemplate")
    for key in template:
        if key not in ("metadata", "spec"):
            raise ValueError(f"{key} is no part of a pod template; it has metadata and spec")
    _check_metadata(_map_in(template, "metadata", ""))
    spec = _map_in(template, "spec", "")
    _require_no_own(spec, POD_FIELDS, "spec")
    for index, volume in enumerate(_entries_in(spec, "volumes", "name", "spec")):
        if volume["name"] in OWN_VOLUMES:
            raise ValueError(f"spec.volumes[{index}].name {volume['name']} is one of the stage's own; use another name")
    for field in ("initContainers", "containers"):
        for index, container in enumerate(_entries_in(spec, field, "name", "spec")):
            place = f"spec.{field}[{index}]"
            variables = _entries_in(container, "env", "name", place)
            mounts = _entries_in(container, "volumeMounts", "mountPath", place)
            if field == "containers" and container["name"] == stage_pods.CONTAINER:
                _check_container(container, variables, mounts, place)
    return template


def _check_metadata(metadata: Mapping[str, Any]) -> None:
    for field in metadata:
        if field not in ("labels", "annotations"):
            raise ValueError(f"metadata.{field} cannot be set; labels and annotations can")
        entries = _map_in(metadata, field, "metadata")
        _require_few(entries, f"metadata.{field}")
        for key, value in entries.items():
            if is_reserved(key):
                raise ValueError(f"metadata.{field} names {key}, which the operator or Kubernetes sets; remove it")
            if not isinstance(value, str):
                raise ValueError(f"metadata.{field}.{key} is not text; put it in quotes")


def _check_container(
    container: Mapping[str, Any],
    variables: Sequence[Mapping[str, Any]],
    mounts: Sequence[Mapping[str, Any]],
    place: str,
) -> None:
    _require_no_own(container, CONTAINER_FIELDS, place)
    for index, variable in enumerate(variables):
        if variable["name"] in stage_pods.RENDEZVOUS_VARIABLES:
            raise ValueError(f"{place}.env[{index}].name {variable['name']} is set by the operator; remove it")
    for index, mount in enumerate(mounts):
        path = posixpath.normpath("/" + mount["mountPath"].lstrip("/"))
        if any(posixpath.commonpath([path, own]) == path for own in OWN_DIRECTORIES):
            raise ValueError(
                f"{place}.volumeMounts[{index}].mountPath {mount['mountPath']} would hide a directory of the stage; "
                "mount the volume elsewhere"
            )


def _require_no_own(fields: Mapping[str, Any], own: Mapping[str, str], place: str) -> None:
    for field in fields:
        if field in own:
            raise ValueError(f"{place}.{field} cannot be set: {own[field]}")


def _require_no_nulls(value: object, place: str) -> None:
    if value is None:
        raise ValueError(f"{place} is empty; podTemplate adds and replaces, but does not remove: give it a value")
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if str(key).startswith("$"):
                raise ValueError(f"{place}.{key} is a patch directive; podTemplate knows none, remove it")
            _require_no_nulls(inner, f"{place}.{key}")
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for index, inner in enumerate(value):
            _require_no_nulls(inner, f"{place}[{index}]")


def _map_in(parent: Mapping[str, Any], field: str, place: str) -> Mapping[str, Any]:
    value = parent.get(field, {})
    if not isinstance(value, Mapping):
        raise ValueError(f"{_joined(place, field)} is not a map")
    return value


def _entries_in(parent: Mapping[str, Any], field: str, key: str, place: str) -> Sequence[Mapping[str, Any]]:
    """The entries of a list that is merged by `key`."""
    value = parent.get(field, [])
    path = _joined(place, field)
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise ValueError(f"{path} is not a list")
    for index, entry in enumerate(value):
        if not isinstance(entry, Mapping) or not isinstance(entry.get(key), str):
            raise ValueError(f"{path}[{index}] is not a map with a {key}")
    _require_few(value, path)
    keys = [entry[key] for entry in value]
    if len(set(keys)) != len(keys):
        raise ValueError(f"{path} has two entries with one {key}; merge them into one")
    return value


def _require_few(entries: Sized, path: str) -> None:
    if len(entries) > MAXIMUM_ENTRIES:
        raise ValueError(f"{path} has {len(entries)} entries; at most {MAXIMUM_ENTRIES} are allowed")


def _joined(place: str, field: str) -> str:
    return f"{place}.{field}" if place else field
