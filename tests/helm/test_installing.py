"""The chart with the real helm on a real API server: install, upgrade, uninstall."""

from pathlib import Path

import pytest
import yaml
from hack.control_plane.client import CUSTOM_RESOURCE_DEFINITION, Kind
from tests.helm import golden
from tests.helm.helm_program import CHART, CRD_NAME, RELEASE, Cluster, HelmRefused, Object, by_name, is_established

EXAMPLES = Path(__file__).parents[2] / "examples"
DEPLOYMENT = Kind("apps/v1", "Deployment")
PAFT_JOB = Kind("paft.dev/v1alpha1", "PaftJob")
EVERYTHING = golden.situations()["everything"]

pytestmark = pytest.mark.slow


def test_it_installs_without_values_and_says_what_to_do_next(cluster: Cluster) -> None:
    output = cluster.install()

    assert "The PAFT operator 0.1.0 serves PaftJobs in all namespaces." in output
    assert f"kubectl --namespace {cluster.namespace} rollout status deployment/{RELEASE}" in output
    assert "kubectl apply --filename paftjob.yaml" in output
    assert _absent(cluster) == []
    # The pod exists, so restricted Pod Security let it in.
    cluster.kubernetes.wait_for(DEPLOYMENT, RELEASE, cluster.namespace, _has_pods)


def test_it_installs_with_everything_on(cluster: Cluster) -> None:
    cluster.install(EVERYTHING)

    assert len(cluster.manifest()) == 14
    assert _absent(cluster) == []
    for one in cluster.manifest():
        cluster.kubernetes.apply(one, dry_run=True, strict=True)


def test_an_upgrade_keeps_the_crd_and_the_jobs(cluster: Cluster) -> None:
    cluster.install()
    crd, job = _crd(cluster), _create_job(cluster)
    cluster.upgrade({**EVERYTHING, "nameOverride": "", "fullnameOverride": "", "crds": {"annotations": {"new": "yes"}}})
    upgraded = _crd(cluster)

    assert _absent(cluster) == []
    assert upgraded["metadata"]["uid"] == crd["metadata"]["uid"]
    assert upgraded["metadata"]["annotations"]["new"] == "yes"
    assert _job(cluster) == job
    deployment = cluster.kubernetes.get(DEPLOYMENT, RELEASE, cluster.namespace)
    assert deployment["spec"]["replicas"] == 2


def test_an_upgrade_to_a_chart_without_crd_keeps_it_too(cluster: Cluster) -> None:
    cluster.install()
    crd, job = _crd(cluster), _create_job(cluster)
    cluster.upgrade({"crds": {"enabled": False}})

    assert _crd(cluster)["metadata"]["uid"] == crd["metadata"]["uid"]
    assert _job(cluster) == job


def test_uninstalling_keeps_the_crd_and_the_jobs_and_can_be_undone(cluster: Cluster) -> None:
    cluster.install()
    job, installed = _create_job(cluster), cluster.manifest()
    cluster.uninstall()

    left = [name for name, one in by_name(installed).items() if _find(cluster, one) is not None]
    assert left == [f"CustomResourceDefinition {CRD_NAME}"]
    assert _job(cluster) == job

    cluster.install()
    assert _absent(cluster) == []
    assert _job(cluster) == job


def test_uninstalling_without_keep_removes_the_crd(cluster: Cluster) -> None:
    cluster.install({"crds": {"keep": False}})
    cluster.uninstall()

    cluster.wait_until_crd_is_gone()


def test_a_second_release_has_to_leave_the_crd_to_the_first(cluster: Cluster) -> None:
    cluster.install()
    second = ("install", "second", str(CHART), "--namespace", cluster.namespace)

    with pytest.raises(HelmRefused, match=f'CustomResourceDefinition "{CRD_NAME}".* exists'):
        cluster.helm.run(*second, values={})
    cluster.helm.run(*second, values={"crds": {"enabled": False}})
    cluster.helm.run("uninstall", "second", "--namespace", cluster.namespace)


def test_in_namespaces_it_may_nothing_elsewhere(cluster: Cluster) -> None:
    cluster.install({"scope": "namespaced"})
    operator = f"system:serviceaccount:{cluster.namespace}:{RELEASE}"
    kinds = {one["kind"] for one in cluster.manifest()}

    assert kinds & {"ClusterRole", "ClusterRoleBinding"} == set()
    assert cluster.allowed(operator, "list", on="paft.dev/paftjobs") == "list"
    assert cluster.allowed(operator, "list", on="paft.dev/paftjobs", namespace="default") == ""
    assert cluster.allowed(operator, "create", on="batch/jobs", namespace="default") == ""


def _absent(cluster: Cluster) -> list[str]:
    return [name for name, one in by_name(cluster.manifest()).items() if _find(cluster, one) is None]


def _find(cluster: Cluster, one: Object) -> Object | None:
    metadata = one["metadata"]
    kind = Kind(one["apiVersion"], one["kind"])
    return cluster.kubernetes.find(kind, metadata["name"], metadata.get("namespace"))


def _has_pods(deployment: Object) -> bool:
    return bool(deployment.get("status", {}).get("replicas") == 1)


def _crd(cluster: Cluster) -> Object:
    return cluster.kubernetes.get(CUSTOM_RESOURCE_DEFINITION, CRD_NAME)


def _create_job(cluster: Cluster) -> Object:
    cluster.kubernetes.wait_for(CUSTOM_RESOURCE_DEFINITION, CRD_NAME, None, is_established)
    document = yaml.safe_load((EXAMPLES / "mistral-7b.yaml").read_text(encoding="utf-8"))
    document["metadata"]["namespace"] = cluster.namespace
    return cluster.kubernetes.create(document)


def _job(cluster: Cluster) -> Object:
    return cluster.kubernetes.get(PAFT_JOB, "mistral-7b", cluster.namespace)
