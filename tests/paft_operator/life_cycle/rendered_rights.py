"""The rights that the chart gives the operator's ServiceAccount, as rendered by the real helm."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from hack.control_plane.client import SERVICE_ACCOUNT, KubernetesClient, Object
from hack.control_plane.programs import find_or_build
from tests.helm.helm_program import NAMESPACE, RELEASE, Helm

RIGHTS = ("ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding", "ServiceAccount")
ACCOUNT = f"system:serviceaccount:{NAMESPACE}:{RELEASE}"


class Right(NamedTuple):
    """One verb on one kind of object; `group` is empty for the core group."""

    verb: str
    group: str
    resource: str


def rendered_rights(home: Path) -> list[Object]:
    """The objects with which the chart grants them, for the whole cluster."""
    helm = Helm(program=find_or_build(("helm",))["helm"], home=home)
    rendered = [one for one in helm.render() if one["kind"] in RIGHTS]
    # Those of people are no business of the operator's.
    return [one for one in rendered if not one["metadata"]["name"].endswith(("-view", "-edit"))]


def install(kubernetes: KubernetesClient, objects: list[Object]) -> None:
    """Have the API server know them."""
    kubernetes.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    for one in objects:
        kubernetes.apply(one)
    kubernetes.wait_for(SERVICE_ACCOUNT, RELEASE, NAMESPACE, bool)


def granted(objects: list[Object]) -> set[Right]:
    """All rights in the rules."""
    return {right for one in objects for right in _rights_in(one)}


def _rights_in(manifest: Object) -> Iterator[Right]:
    for rule in manifest.get("rules", ()):
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                yield from (Right(verb, group, resource) for verb in rule["verbs"])
