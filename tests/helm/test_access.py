"""What the installed roles allow, asked of a real API server, and the examples on the installed CRD."""

import subprocess
from pathlib import Path

import pytest
from hack.control_plane.client import Kind, KubernetesClient
from kubernetes.client.exceptions import ApiException
from tests.helm.helm_program import RELEASE, Cluster, Object

EXAMPLES = Path(__file__).parents[2] / "examples"
ROLE = Kind("rbac.authorization.k8s.io/v1", "Role")

pytestmark = pytest.mark.slow


def test_the_operator_may_do_what_it_does_and_nothing_else(installed: Cluster) -> None:
    operator = f"system:serviceaccount:{installed.namespace}:{RELEASE}"

    assert installed.allowed(operator, "get", "list", "watch", on="paft.dev/paftjobs") == "get list watch"
    assert installed.allowed(operator, "patch", on="paft.dev/paftjobs/status") == "patch"
    assert installed.allowed(operator, "create", "delete", "patch", "update", on="batch/jobs") == "create delete"
    assert installed.allowed(operator, "get", "list", "watch", "delete", on="/pods") == "list watch"
    assert installed.allowed(operator, "patch", "update", "delete", on="paft.dev/paftjobs") == ""
    assert installed.allowed(operator, "get", "list", "watch", "create", on="/secrets") == ""
    assert installed.allowed(operator, "get", "create", on="coordination.k8s.io/leases", name=RELEASE) == "get create"
    assert installed.allowed(operator, "get", "update", on="coordination.k8s.io/leases", name="other") == ""
    elsewhere = installed.allowed(operator, "create", "get", on="coordination.k8s.io/leases", namespace="default")
    assert elsewhere == ""


def test_the_operator_can_grant_access_to_a_report_and_to_nothing_else(installed: Cluster) -> None:
    kubeconfig = installed.control_plane.service_account_kubeconfig(installed.namespace, RELEASE)
    with KubernetesClient(kubeconfig) as operator:
        operator.create(_role(installed, "configmaps", ["get", "patch"], name="own-report"))
        for resource, verbs in (("configmaps", ["update"]), ("secrets", ["get"])):
            with pytest.raises(
                ApiException, match="attempting to grant RBAC permissions not currently held"
            ) as refusal:
                operator.create(_role(installed, resource, verbs, name="more"))
            assert refusal.value.status == 403


def test_viewers_see_jobs_and_editors_change_them(installed: Cluster) -> None:
    verbs = ("get", "list", "watch", "create", "update", "patch", "delete")
    for role, expected in (("view", "get list watch"), ("edit", " ".join(verbs)), ("admin", " ".join(verbs))):
        _bind(installed, role)
        _wait_for_aggregation(installed, role)
        assert installed.allowed(f"{role}er", *verbs, on="paft.dev/paftjobs") == expected, role
        assert installed.allowed(f"{role}er", "get", "patch", on="paft.dev/paftjobs/status") == "get", role


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.stem)
def test_examples_pass_a_server_side_dry_run(installed: Cluster, path: Path) -> None:
    command = ["--namespace", installed.namespace, "apply", "--dry-run=server", "--filename", str(path)]
    result = subprocess.run(
        [installed.kubectl, "--kubeconfig", installed.control_plane.kubeconfig, *command],
        capture_output=True,
        text=True,
    )

    assert (result.returncode, result.stdout) == (0, f"paftjob.paft.dev/{path.stem} created (server dry run)\n")
    assert result.stderr == ""


def _role(installed: Cluster, resource: str, verbs: list[str], *, name: str) -> Object:
    rule = {"apiGroups": [""], "resources": [resource], "resourceNames": ["one-report"], "verbs": verbs}
    metadata = {"name": name, "namespace": installed.namespace}
    return {"apiVersion": ROLE.api_version, "kind": ROLE.kind, "metadata": metadata, "rules": [rule]}


def _bind(installed: Cluster, role: str) -> None:
    user = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": f"{role}er"}
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role}
    installed.kubernetes.create(
        {
            "apiVersion": ROLE.api_version,
            "kind": "RoleBinding",
            "metadata": {"name": role, "namespace": installed.namespace},
            "roleRef": reference,
            "subjects": [user],
        }
    )


def _wait_for_aggregation(installed: Cluster, role: str) -> None:
    kind = Kind(ROLE.api_version, "ClusterRole")
    verb = "get" if role == "view" else "deletecollection"

    def includes_ours(cluster_role: Object) -> bool:
        rules = cluster_role.get("rules") or ()
        return any("paft.dev" in rule.get("apiGroups", ()) and verb in rule["verbs"] for rule in rules)

    installed.kubernetes.wait_for(kind, role, None, includes_ours)
