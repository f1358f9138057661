"""Kinds of objects the operator reads or writes, and their addresses."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from paft_api.spec.job import API_VERSION

Object = dict[str, Any]
"""An object of Kubernetes as JSON."""


@dataclass(frozen=True, slots=True)
class Resource:
    """A kind of object in one version."""

    api_version: str
    plural: str
    kind: str

    def path(self, namespace: str | None, name: str = "", subresource: str = "") -> str:
        """Address of an object, or without a name of all in a namespace, or without one of all."""
        root = f"/apis/{self.api_version}" if "/" in self.api_version else f"/api/{self.api_version}"
        scope = f"/namespaces/{quote(namespace)}" if namespace is not None else ""
        rest = "".join(f"/{quote(part)}" for part in (name, subresource) if part)
        return f"{root}{scope}/{self.plural}{rest}"


PAFT_JOBS = Resource(API_VERSION, "paftjobs", "PaftJob")
JOBS = Resource("batch/v1", "jobs", "Job")
JOB_SETS = Resource("jobset.x-k8s.io/v1alpha2", "jobsets", "JobSet")
WORKLOADS = Resource("kueue.x-k8s.io/v1beta1", "workloads", "Workload")
PODS = Resource("v1", "pods", "Pod")
CONFIG_MAPS = Resource("v1", "configmaps", "ConfigMap")
SERVICES = Resource("v1", "services", "Service")
SERVICE_ACCOUNTS = Resource("v1", "serviceaccounts", "ServiceAccount")
ROLES = Resource("rbac.authorization.k8s.io/v1", "roles", "Role")
ROLE_BINDINGS = Resource("rbac.authorization.k8s.io/v1", "rolebindings", "RoleBinding")
EVENTS = Resource("events.k8s.io/v1", "events", "Event")
LEASES = Resource("coordination.k8s.io/v1", "leases", "Lease")

_CHILDREN = (JOBS, JOB_SETS, CONFIG_MAPS, SERVICES, SERVICE_ACCOUNTS, ROLES, ROLE_BINDINGS)


def resource_of(manifest: Object) -> Resource:
    """The resource that a child's manifest belongs to."""
    return next(
        resource
        for resource in _CHILDREN
        if (resource.api_version, resource.kind) == (manifest["apiVersion"], manifest["kind"])
    )


def owner_of(manifest: Object) -> Object:
    """The reference to the controller of an object; empty where it has none."""
    references: list[Object] = manifest["metadata"].get("ownerReferences", [])
    return next((reference for reference in references if reference.get("controller")), {})


def is_owned_by(manifest: Object, uid: str) -> bool:
    """Whether the object with this uid controls it."""
    return owner_of(manifest).get("uid") == uid
