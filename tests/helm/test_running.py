"""The real operator with what the chart gives it: its environment, its ServiceAccount's rights, and nothing more."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from hack.control_plane.client import JOB, POD, Kind
from tests.helm.helm_program import RELEASE, Cluster, Object, Values
from tests.paft_operator.operator_processes import OperatorProcess

EXAMPLES = Path(__file__).parents[2] / "examples"
DEPLOYMENT = Kind("apps/v1", "Deployment")
LEASE = Kind("coordination.k8s.io/v1", "Lease")
PAFT_JOB = Kind("paft.dev/v1alpha1", "PaftJob")

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("values", [{}, {"scope": "namespaced"}], ids=["cluster", "namespaced"])
def test_the_operator_runs_on_what_the_chart_gives_it(cluster: Cluster, tmp_path: Path, values: Values) -> None:
    cluster.install(values)
    settings = _settings(cluster) | {"listen_port": 0}
    account = cluster.control_plane.service_account_kubeconfig(cluster.namespace, RELEASE)
    namespaces = settings.pop("namespaces").split(",")
    log_file = tmp_path / "operator.log"
    with OperatorProcess(account, namespaces=namespaces, log_file=log_file, election=True, **settings) as operator:
        operator.wait_until_ready()
        cluster.kubernetes.create(_job(cluster))
        job = cluster.kubernetes.wait_for(PAFT_JOB, "mistral-7b", cluster.namespace, _is_validating)
        prepare = cluster.kubernetes.wait_for(JOB, "mistral-7b-prepare-1", cluster.namespace, bool)
        # The namespace asks for restricted Pod Security.
        pod = _pod_of(cluster, prepare)
        lease = cluster.kubernetes.get(LEASE, RELEASE, cluster.namespace)
        log = operator.log

    assert job["status"]["observedGeneration"] == 1
    assert pod["spec"]["containers"][0]["image"] == "registry.paft.dev/paft-trainer:0.1.0"
    assert lease["spec"]["holderIdentity"]
    assert [line for line in log if line["level"] == "error" or "forbidden" in line["message"]] == []


def _settings(cluster: Cluster) -> dict[str, Any]:
    deployment = cluster.kubernetes.get(DEPLOYMENT, RELEASE, cluster.namespace)
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    prefix = "PAFT_OPERATOR_"
    return {one["name"].removeprefix(prefix).lower(): one.get("value", "") for one in container["env"]}


def _job(cluster: Cluster) -> Object:
    document: Object = yaml.safe_load((EXAMPLES / "mistral-7b.yaml").read_text(encoding="utf-8"))
    document["metadata"]["namespace"] = cluster.namespace
    return document


def _is_validating(job: Object) -> bool:
    return bool(job.get("status", {}).get("phase") == "Validating")


def _pod_of(cluster: Cluster, prepare: Object) -> Object:
    cluster.kubernetes.wait_for(JOB, prepare["metadata"]["name"], cluster.namespace, _has_pod)
    (pod,) = cluster.kubernetes.list(POD, cluster.namespace, labels=f"job-name={prepare['metadata']['name']}")
    return pod


def _has_pod(job: Object) -> bool:
    return bool(job.get("status", {}).get("active") == 1)
