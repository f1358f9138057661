"""The real helm on this chart: render, and whatever else a test asks for."""

import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from hack.control_plane import ControlPlane
from hack.control_plane.client import CUSTOM_RESOURCE_DEFINITION, KubernetesClient

CHART = Path(__file__).parents[2] / "helm" / "paft-operator"
RELEASE = "paft-operator"
NAMESPACE = "paft-system"
CRD_NAME = "paftjobs.paft.dev"
Object = dict[str, Any]
Values = dict[str, Any]


class HelmRefused(Exception):
    """Helm ended with an error; `str()` is what it said."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Helm:
    """`home`: for its files. `kubeconfig`: of the cluster to talk to; none where nothing is installed."""

    program: Path
    home: Path
    kubeconfig: Path = Path("/dev/null")

    def run(self, *arguments: str, values: Values | None = None) -> str:
        """Standard output of one command, which gets `values` on standard input. Raises HelmRefused."""
        with_values = ["--values", "-"] if values is not None else []
        result = subprocess.run(
            [self.program, *arguments, *with_values],
            env=os.environ
            | {f"HELM_{kind}_HOME": str(self.home / kind.lower()) for kind in ("CACHE", "CONFIG", "DATA")}
            | {"KUBECONFIG": str(self.kubeconfig)},
            input=yaml.safe_dump(values) if values is not None else "",
            capture_output=True,
            text=True,
        )
        if result.returncode != 0:
            raise HelmRefused(result.stderr)
        return result.stdout

    def render(self, values: Values | None = None, *, release: str = RELEASE) -> list[Object]:
        """The objects of a release, in the order in which they are rendered."""
        text = self.render_text(values, release=release)
        return [one for one in yaml.load_all(text, Loader=yaml.CSafeLoader) if one is not None]

    def render_text(self, values: Values | None = None, *, release: str = RELEASE) -> str:
        """The same as text."""
        return self.run("template", release, str(CHART), "--namespace", NAMESPACE, values=values or {})


@dataclass(frozen=True, kw_only=True, slots=True)
class Cluster:
    """A control plane, and in it a namespace for one release."""

    control_plane: ControlPlane
    kubernetes: KubernetesClient
    helm: Helm
    kubectl: Path
    namespace: str

    def install(self, values: Values | None = None) -> str:
        """Install the chart; what helm said."""
        return self._release("install", values)

    def upgrade(self, values: Values | None = None) -> str:
        """Upgrade the release; what helm said."""
        return self._release("upgrade", values)

    def uninstall(self) -> str:
        """Uninstall the release; what helm said."""
        return self.helm.run("uninstall", RELEASE, "--namespace", self.namespace)

    def manifest(self) -> list[Object]:
        """The objects of the release as helm has recorded them."""
        text = self.helm.run("get", "manifest", RELEASE, "--namespace", self.namespace)
        return [one for one in yaml.load_all(text, Loader=yaml.CSafeLoader) if one is not None]

    def wait_until_crd_is_gone(self, *, seconds: float = 60) -> None:
        """Its objects are removed first, by the API server."""
        deadline = time.monotonic() + seconds
        while self.kubernetes.find(CUSTOM_RESOURCE_DEFINITION, CRD_NAME) is not None:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{CRD_NAME} is still there after {seconds} s")
            time.sleep(0.05)

    def allowed(self, user: str, *verbs: str, on: str, name: str = "", namespace: str | None = None) -> str:
        """Those of the verbs that the API server allows. `on`: group/resource, or group/resource/subresource."""
        group, resource, *subresource = on.split("/")
        asked = {
            "namespace": namespace or self.namespace,
            "group": group,
            "resource": resource,
            "subresource": "".join(subresource),
            "name": name,
        }
        return " ".join(verb for verb in verbs if self._is_allowed(user, asked | {"verb": verb}))

    def _is_allowed(self, user: str, asked: dict[str, str]) -> bool:
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "metadata": {},
            "spec": {"user": user, "groups": ["system:authenticated"], "resourceAttributes": asked},
        }
        return bool(self.kubernetes.create(review)["status"]["allowed"])

    def _release(self, verb: str, values: Values | None) -> str:
        return self.helm.run(verb, RELEASE, str(CHART), "--namespace", self.namespace, values=values or {})


def is_established(crd: Object) -> bool:
    """Whether the API server serves the kind."""
    conditions = crd.get("status", {}).get("conditions") or ()
    return any(one["type"] == "Established" and one["status"] == "True" for one in conditions)


def by_name(objects: list[Object]) -> dict[str, Object]:
    """Objects by kind and name, with the namespace where it is not the release's."""
    named = {_name(one): one for one in objects}
    assert len(named) == len(objects), "two objects of one name"
    return named


def without_crd(objects: list[Object]) -> list[Object]:
    """What the chart itself writes: the CRD is generated elsewhere."""
    return [one for one in objects if one["kind"] != "CustomResourceDefinition"]


def _name(one: Object) -> str:
    namespace = one["metadata"].get("namespace", NAMESPACE)
    place = "" if namespace == NAMESPACE else f"{namespace}/"
    return f"{one['kind']} {place}{one['metadata']['name']}"
