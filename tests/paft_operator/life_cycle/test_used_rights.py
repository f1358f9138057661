"""The rights that the chart grants are those that the operator has used in all that was played before."""

import pytest
from hack.control_plane import ControlPlane
from hack.control_plane.audit import AuditRecord, read_audit_log
from hack.control_plane.client import KubernetesClient, Object
from kubernetes.client.exceptions import ApiException
from tests.paft_operator.life_cycle.rendered_rights import ACCOUNT, Right, granted

pytestmark = pytest.mark.slow

NEEDED = {
    "test_a_job_succeeds",
    "test_suspension_saves_and_resumption_goes_on_without_counting",
    "test_children_go_after_their_time_and_the_job_stays",
    "test_an_upgrade_leaves_everything_alone",
}
"""Tests without which rights seem to be unused."""

RBAC = "rbac.authorization.k8s.io"
NOT_IN_THE_LOG = {
    # To apply an object that is not there is `patch` in the log, and needs the right to create it besides: see below.
    Right("create", "", "configmaps"),
    Right("create", "", "services"),
    Right("create", "", "serviceaccounts"),
    Right("create", RBAC, "roles"),
    Right("create", RBAC, "rolebindings"),
}


@pytest.fixture(scope="module")
def requests(control_plane: ControlPlane) -> list[AuditRecord]:
    """What the operator asked for."""
    return [one for one in read_audit_log(control_plane.audit_log) if one.user == ACCOUNT]


def test_granted_is_used(request: pytest.FixtureRequest, rights: list[Object], requests: list[AuditRecord]) -> None:
    played = {item.originalname for item in request.session.items if isinstance(item, pytest.Function)}
    if not played >= NEEDED:
        pytest.skip("not all of the life cycle was played in this session")

    assert granted(rights) - {_right(one) for one in requests} == NOT_IN_THE_LOG


def test_used_is_granted(rights: list[Object], requests: list[AuditRecord]) -> None:
    assert [one for one in requests if one.code in (401, 403) and not _is_of_a_namespace_that_goes(one)] == []
    assert {_right(one) for one in requests if one.resource} <= granted(rights)


@pytest.mark.parametrize("right", sorted(NOT_IN_THE_LOG), ids=lambda right: right.resource)
def test_to_apply_is_to_create(
    control_plane: ControlPlane, kubernetes: KubernetesClient, namespace: str, right: Right
) -> None:
    user = f"patches-{right.resource}"
    _grant(kubernetes, namespace, user, right)
    words = f"cannot create resource .+{right.resource}"
    with (
        KubernetesClient(control_plane.user_kubeconfig(user)) as client,
        pytest.raises(ApiException, match=words) as refusal,
    ):
        client.apply(_manifest(right, namespace))
    assert refusal.value.status == 403


def _right(record: AuditRecord) -> Right:
    return Right(record.verb, record.group, record.resource)


def _is_of_a_namespace_that_goes(record: AuditRecord) -> bool:
    """The API server refuses to create anything there, in the same words as where a right is missing."""
    return record.verb in ("create", "patch") and record.namespace.startswith("test-")


def _grant(kubernetes: KubernetesClient, namespace: str, user: str, right: Right) -> None:
    metadata = {"name": user, "namespace": namespace}
    rule = {"apiGroups": [right.group], "resources": [right.resource], "verbs": ["get", "patch"]}
    common = {"apiVersion": f"{RBAC}/v1", "metadata": metadata}
    reference = {"apiGroup": RBAC, "kind": "Role", "name": user}
    subjects = [{"apiGroup": RBAC, "kind": "User", "name": user}]
    kubernetes.create(common | {"kind": "Role", "rules": [rule]})
    kubernetes.create(common | {"kind": "RoleBinding", "roleRef": reference, "subjects": subjects})


def _manifest(right: Right, namespace: str) -> Object:
    kinds = {"configmaps": "ConfigMap", "services": "Service", "serviceaccounts": "ServiceAccount"}
    kinds |= {"roles": "Role", "rolebindings": "RoleBinding"}
    manifest: Object = {
        "apiVersion": f"{right.group}/v1" if right.group else "v1",
        "kind": kinds[right.resource],
        "metadata": {"name": "new", "namespace": namespace},
    }
    if right.resource == "services":
        manifest["spec"] = {"clusterIP": "None", "ports": [{"port": 80}]}
    if right.resource == "rolebindings":
        # Of a role that exists; whether it may be granted is asked first.
        manifest["roleRef"] = {"apiGroup": RBAC, "kind": "Role", "name": f"patches-{right.resource}"}
    return manifest
