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
    "test_everything_waits_and_is_told_why",
}
"""Tests without which rights seem to be unused."""

RBAC = "rbac.authorization.k8s.io"
NOT_IN_THE_LOG = {
    # To apply an object that is not there is `patch` in the log, and needs the right to create it besides: see below.
    Right("create", "", "services"),
    # JobSet is not installed here; tests/node has it.
    *(Right(verb, "jobset.x-k8s.io", "jobsets") for verb in ("get", "list", "watch", "create", "delete")),
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


def test_to_apply_is_to_create(control_plane: ControlPlane, kubernetes: KubernetesClient, namespace: str) -> None:
    user = "patches-services"
    _grant(kubernetes, namespace, user, {"apiGroups": [""], "resources": ["services"], "verbs": ["get", "patch"]})
    service: Object = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "new", "namespace": namespace},
        "spec": {"clusterIP": "None", "ports": [{"port": 80}]},
    }
    with (
        KubernetesClient(control_plane.user_kubeconfig(user)) as client,
        pytest.raises(ApiException, match=r"cannot create resource .+services") as refusal,
    ):
        client.apply(service)
    assert refusal.value.status == 403


def _right(record: AuditRecord) -> Right:
    return Right(record.verb, record.group, record.resource)


def _is_of_a_namespace_that_goes(record: AuditRecord) -> bool:
    """The API server refuses to create anything there, in the same words as where a right is missing."""
    return record.verb in ("create", "patch") and record.namespace.startswith("test-")


def _grant(kubernetes: KubernetesClient, namespace: str, user: str, rule: Object) -> None:
    common = {"apiVersion": f"{RBAC}/v1", "metadata": {"name": user, "namespace": namespace}}
    reference = {"apiGroup": RBAC, "kind": "Role", "name": user}
    subjects = [{"apiGroup": RBAC, "kind": "User", "name": user}]
    kubernetes.create(common | {"kind": "Role", "rules": [rule]})
    kubernetes.create(common | {"kind": "RoleBinding", "roleRef": reference, "subjects": subjects})
