"""A real API server takes every manifest, in a namespace that enforces the restricted Pod Security Standard."""

import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from hack.control_plane.client import JOB, NAMESPACE, POD, SERVICE_ACCOUNT, KubernetesClient
from kubernetes.client.exceptions import ApiException
from tests.paft_operator.manifests.golden import ATTEMPTS, SETTINGS, SITUATIONS, job_of, start_of

from paft_api.spec import PaftJob
from paft_api.stages import ARMS, StageName
from paft_operator.manifests.attempt_objects import attempt_objects
from paft_operator.manifests.settings import Manifest

ENFORCE = "pod-security.kubernetes.io/enforce"


@pytest.fixture(scope="module")
def restricted(kubernetes: KubernetesClient) -> Iterator[str]:
    """A namespace with that standard, and what the situations name in it and around it."""
    name = f"restricted-{uuid.uuid4().hex[:12]}"
    labels = {
        ENFORCE: "restricted",
        "pod-security.kubernetes.io/enforce-version": "latest",
    }
    kubernetes.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
    kubernetes.wait_for(SERVICE_ACCOUNT, "default", name, bool)
    for manifest in (
        {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": "training"}, "value": 1},
        {"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": {"name": "nvidia"}, "handler": "nvidia"},
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "trainer", "namespace": name}},
    ):
        kubernetes.apply(manifest)
    yield name
    kubernetes.delete(NAMESPACE, name)


ON_THE_NODE = {("many_sources", stage) for stage in ARMS}
"""Pods with a folder of their node, which that standard refuses."""


@pytest.mark.parametrize(("situation", "stage"), SITUATIONS)
def test_every_manifest_is_valid_and_every_pod_is_let_in(
    situation: str, stage: StageName, restricted: str, kubernetes: KubernetesClient
) -> None:
    objects = _objects(situation, stage, restricted, ipcLock=False)

    for manifest in objects:
        kubernetes.apply(manifest, field_manager="paft-operator", dry_run=True)
    _create_accounts(kubernetes, objects)
    if (situation, stage) not in ON_THE_NODE:
        kubernetes.apply(_first_pod(objects[-1]), dry_run=True)


@pytest.mark.parametrize("level", ["restricted", "baseline"])
def test_a_folder_of_the_node_is_what_both_standards_refuse(
    level: str, restricted: str, kubernetes: KubernetesClient
) -> None:
    labels = {ENFORCE: level}
    kubernetes.patch(NAMESPACE, restricted, None, {"metadata": {"labels": labels}})
    objects = _objects("many_sources", StageName.SFT, restricted)
    _create_accounts(kubernetes, objects)

    try:
        with pytest.raises(ApiException) as refused:
            kubernetes.apply(_first_pod(objects[-1]), dry_run=True)
    finally:
        kubernetes.patch(NAMESPACE, restricted, None, {"metadata": {"labels": {ENFORCE: "restricted"}}})

    message = json.loads(refused.value.body)["message"]
    assert refused.value.status == 403
    assert f'violates PodSecurity "{level}:latest"' in message
    assert "hostPath" in message


def test_ipc_lock_is_what_the_restricted_standard_refuses(restricted: str, kubernetes: KubernetesClient) -> None:
    objects = _objects("four_by_eight_gpus", StageName.SFT, restricted)
    _create_accounts(kubernetes, objects)

    with pytest.raises(ApiException) as refused:
        kubernetes.apply(_first_pod(objects[-1]), dry_run=True)

    message = json.loads(refused.value.body)["message"]
    assert refused.value.status == 403
    assert message.endswith(
        'violates PodSecurity "restricted:latest": unrestricted capabilities (container "trainer" must not include '
        '"IPC_LOCK" in securityContext.capabilities.add)'
    )


def test_an_arm_s_pods_get_what_their_rendezvous_needs(restricted: str, kubernetes: KubernetesClient) -> None:
    objects = _objects("cpu_only", StageName.SFT, restricted)
    for manifest in objects:
        kubernetes.apply(_without_owner(manifest), field_manager="paft-operator")

    kubernetes.wait_for(JOB, "tiny-sft-1", restricted, lambda job: job.get("status", {}).get("active") == 2)

    pods = sorted(
        kubernetes.list(POD, restricted, labels="batch.kubernetes.io/job-name=tiny-sft-1"),
        key=lambda pod: str(pod["spec"]["hostname"]),
    )
    addresses = [f"{pod['spec']['hostname']}.{pod['spec']['subdomain']}" for pod in pods]
    assert addresses == ["tiny-sft-1-0.tiny-sft", "tiny-sft-1-1.tiny-sft"]
    for pod in pods:
        variables = {entry["name"]: entry for entry in pod["spec"]["containers"][0]["env"]}
        assert variables["MASTER_ADDR"]["value"] == addresses[0]
        assert "batch.kubernetes.io/job-completion-index" in json.dumps(variables["JOB_COMPLETION_INDEX"]["valueFrom"])
        # Nothing of a ServiceAccount but the report's token gets into a pod.
        assert [volume["name"] for volume in pod["spec"]["volumes"]] == [
            "run-spec",
            "api-access",
            "scratch",
            "base-cache",
            "shared-memory",
        ]


def test_what_a_pod_reported_stays_when_its_config_map_is_applied_again(
    restricted: str, kubernetes: KubernetesClient
) -> None:
    objects = _objects("defaults", StageName.MERGE, restricted)
    report = _without_owner(objects[1])
    kubernetes.apply(report, field_manager="paft-operator")
    reported = {**report, "data": {"report.json": "{}"}}
    kubernetes.apply(reported, field_manager="paft-trainer")

    again = kubernetes.apply(report, field_manager="paft-operator")

    assert again["data"] == {"report.json": "{}"}


def _objects(situation: str, stage: StageName, namespace: str, **trainer: object) -> tuple[Manifest, ...]:
    document: Any = job_of(situation).to_document()
    document["metadata"]["namespace"] = namespace
    document["spec"]["trainer"] |= trainer
    job = PaftJob.model_validate_json(json.dumps(document))
    return attempt_objects(job, start_of(stage, ATTEMPTS[situation]), SETTINGS)


def _create_accounts(kubernetes: KubernetesClient, objects: tuple[Manifest, ...]) -> None:
    """Without its ServiceAccount a pod is refused before anything else is looked at."""
    for manifest in objects:
        if manifest["kind"] == "ServiceAccount":
            kubernetes.apply(_without_owner(manifest), field_manager="paft-operator")


def _without_owner(manifest: Manifest) -> Manifest:
    """For objects that are to stay: the garbage collector would find that their PaftJob does not exist."""
    metadata = {key: value for key, value in manifest["metadata"].items() if key != "ownerReferences"}
    return {**manifest, "metadata": metadata}


def _first_pod(job: Manifest) -> Manifest:
    """As the Job controller would create it; Pod Security looks at pods only."""
    template = job["spec"]["template"]
    metadata = {
        "name": f"{job['metadata']['name']}-0",
        "namespace": job["metadata"]["namespace"],
        **template["metadata"],
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}
