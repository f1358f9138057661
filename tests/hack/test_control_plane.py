"""The control plane that tests share: who may do what, and what is told of it."""

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hack.control_plane import AuditRecord, ControlPlane, Settings, read_audit_log, running
from hack.control_plane.client import CONFIG_MAP, JOB, NAMESPACE, POD, Kind, KubernetesClient, Object
from hack.control_plane.ports import ReservedPort
from kubernetes.client.exceptions import ApiException, ForbiddenException
from tests.kubelet_stand_in import KubeletStandIn
from tests.played_pods import succeeding

ROOT = Path(__file__).parents[2]


def _config_map(namespace: str, **data: str) -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "one", "namespace": namespace}, "data": data}


def test_rbac_decides_what_a_user_and_a_service_account_may_do(
    control_plane: ControlPlane, kubernetes: KubernetesClient, namespace: str
) -> None:
    _grant_reading(kubernetes, namespace)
    kubernetes.create(_config_map(namespace, key="value"))
    kubeconfigs = {
        "jane": control_plane.user_kubeconfig("jane", groups=("readers",)),
        "joe": control_plane.user_kubeconfig("joe"),
        f"system:serviceaccount:{namespace}:default": control_plane.service_account_kubeconfig(namespace, "default"),
    }

    for kubeconfig in kubeconfigs.values():
        with KubernetesClient(kubeconfig) as client:
            with suppress(ForbiddenException):
                client.get(CONFIG_MAP, "one", namespace)
            with suppress(ForbiddenException):
                client.delete(CONFIG_MAP, "one", namespace)

    records = [
        record
        for record in read_audit_log(control_plane.audit_log)
        if record.namespace == namespace and record.user in kubeconfigs and record.name == "one"
    ]
    assert {(record.user, record.verb, record.code) for record in records} == {
        ("jane", "get", 200),
        ("jane", "delete", 403),
        ("joe", "get", 403),
        ("joe", "delete", 403),
        (f"system:serviceaccount:{namespace}:default", "get", 200),
        (f"system:serviceaccount:{namespace}:default", "delete", 403),
    }


def test_the_audit_log_names_group_and_subresource_as_rbac_rules_do(
    control_plane: ControlPlane, kubernetes: KubernetesClient, namespace: str
) -> None:
    kubernetes.create(_job(namespace))
    kubernetes.patch(JOB, "one", namespace, {"metadata": {"labels": {"a": "b"}}}, subresource="status")

    patches = [
        record
        for record in read_audit_log(control_plane.audit_log)
        if record.namespace == namespace and record.user == "admin" and record.verb == "patch"
    ]
    assert patches == [
        AuditRecord(
            user="admin",
            verb="patch",
            group="batch",
            resource="jobs/status",
            namespace=namespace,
            name="one",
            path="",
            code=200,
        )
    ]


def test_server_side_apply_keeps_what_others_own_and_refuses_unknown_fields(
    kubernetes: KubernetesClient, namespace: str
) -> None:
    kubernetes.apply(_config_map(namespace, ours="1"), field_manager="us")
    kubernetes.apply(_config_map(namespace, theirs="2"), field_manager="them")

    applied = kubernetes.apply(_config_map(namespace, ours="3"), field_manager="us")

    assert applied["data"] == {"ours": "3", "theirs": "2"}
    with pytest.raises(ApiException) as conflict:
        kubernetes.apply(_config_map(namespace, theirs="4"), field_manager="us", force=False)
    assert conflict.value.status == 409
    with pytest.raises(ApiException) as unknown:
        kubernetes.create(_config_map(namespace) | {"dataa": {}})
    assert unknown.value.status == 400
    assert json.loads(unknown.value.body)["message"].endswith('unknown field "dataa"')
    kubernetes.apply(_config_map(namespace, dry="run"), field_manager="us", dry_run=True)
    assert kubernetes.get(CONFIG_MAP, "one", namespace)["data"] == {"ours": "3", "theirs": "2"}


def test_a_watch_goes_on_from_a_list_and_can_be_stopped(kubernetes: KubernetesClient, namespace: str) -> None:
    kubernetes.create(_config_map(namespace, key="1"))
    version = kubernetes.list_page(CONFIG_MAP, namespace)["metadata"]["resourceVersion"]
    watch = kubernetes.watch(CONFIG_MAP, namespace, resource_version=version)
    kubernetes.patch(CONFIG_MAP, "one", namespace, {"data": {"key": "2"}})
    kubernetes.delete(CONFIG_MAP, "one", namespace)

    seen = []
    threading.Timer(1.0, watch.stop).start()
    for event in watch:
        seen.append((event.type, event.object["data"]["key"]))
    watch.close()

    assert seen == [("MODIFIED", "2"), ("DELETED", "2")]


def test_what_is_not_there_is_none_and_may_be_deleted(kubernetes: KubernetesClient, namespace: str) -> None:
    assert kubernetes.find(POD, "none", namespace) is None
    kubernetes.delete(POD, "none", namespace)
    with pytest.raises(ApiException) as missing:
        kubernetes.get(POD, "none", namespace)
    assert missing.value.status == 404
    with pytest.raises(LookupError, match="does not serve Nonsense in batch/v1"):
        kubernetes.list(Kind("batch/v1", "Nonsense"))


def test_the_garbage_collector_follows_owner_references(kubernetes: KubernetesClient, namespace: str) -> None:
    owner = kubernetes.create(_job(namespace))
    reference = {"apiVersion": "batch/v1", "kind": "Job", "name": "one", "uid": owner["metadata"]["uid"]}
    owned = _config_map(namespace)
    owned["metadata"]["ownerReferences"] = [reference]
    kubernetes.create(owned)

    kubernetes.delete(JOB, "one", namespace)

    _wait_until(lambda: kubernetes.find(CONFIG_MAP, "one", namespace) is None)


def test_a_deleted_namespace_goes_away_with_what_is_in_it(kubernetes: KubernetesClient, namespace: str) -> None:
    kubernetes.create(_job(namespace))

    kubernetes.delete(NAMESPACE, namespace)

    _wait_until(lambda: kubernetes.find(NAMESPACE, namespace) is None)


def test_nobody_else_gets_a_reserved_port() -> None:
    with ReservedPort() as reserved:
        with socket.socket() as other, pytest.raises(OSError, match="Address already in use"):
            other.bind(("127.0.0.1", reserved.number))
        with socket.socket() as server:
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            server.bind(("127.0.0.1", reserved.number))
            server.listen()
            with socket.create_connection(("127.0.0.1", reserved.number), timeout=5):
                server.accept()[0].close()


def test_reserved_ports_differ() -> None:
    reserved = [ReservedPort() for _ in range(500)]
    numbers = {port.number for port in reserved}
    for port in reserved:
        port.release()

    assert len(numbers) == 500


@pytest.mark.parametrize(("is_ci", "outcome"), [("false", "1 skipped"), ("true", "1 error")])
@pytest.mark.slow
def test_without_go_and_assets_tests_are_skipped_but_fail_in_ci(is_ci: str, outcome: str, tmp_path: Path) -> None:
    environment = os.environ | {"CI": is_ci, "PAFT_CONTROL_PLANE_CACHE": str(tmp_path), "PATH": str(tmp_path)}
    environment.pop("KUBEBUILDER_ASSETS", None)
    test = f"{__file__}::{test_what_is_not_there_is_none_and_may_be_deleted.__name__}"

    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", test],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
    )

    assert outcome in ran.stdout.splitlines()[-1]
    assert "no control plane" in ran.stdout
    assert "or install Go, which builds them" in ran.stdout


@pytest.mark.slow
def test_servers_come_back_where_they_were_and_everybody_goes_on(tmp_path: Path) -> None:
    with running(Settings(directory=tmp_path)) as control_plane, KubernetesClient(control_plane.kubeconfig) as client:
        kubelet = KubeletStandIn(client)
        kubelet.play(succeeding())
        with kubelet:
            client.create(_config_map("default", key="value"))
            for name in ("etcd", "kube-apiserver"):
                control_plane.processes[name].stop(grace_seconds=0)
                control_plane.processes[name].start()
            control_plane.wait_for_api_server()

            assert client.get(CONFIG_MAP, "one", "default")["data"] == {"key": "value"}
            client.create(_job("default"))
            client.wait_for(JOB, "one", "default", lambda job: job["status"].get("succeeded") == 1, seconds=60)


def _job(namespace: str) -> Object:
    pod_spec = {"restartPolicy": "Never", "containers": [{"name": "main", "image": "registry.example.com/none:1"}]}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "one", "namespace": namespace},
        "spec": {"template": {"spec": pod_spec}},
    }


def _grant_reading(kubernetes: KubernetesClient, namespace: str) -> None:
    metadata = {"name": "reader", "namespace": namespace}
    rule = {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["one"], "verbs": ["get"]}
    group = "rbac.authorization.k8s.io"
    kubernetes.apply({"apiVersion": f"{group}/v1", "kind": "Role", "metadata": metadata, "rules": [rule]})
    kubernetes.apply(
        {
            "apiVersion": f"{group}/v1",
            "kind": "RoleBinding",
            "metadata": metadata,
            "roleRef": {"apiGroup": group, "kind": "Role", "name": "reader"},
            "subjects": [
                {"apiGroup": group, "kind": "Group", "name": "readers"},
                {"kind": "ServiceAccount", "name": "default", "namespace": namespace},
            ],
        }
    )


def _wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.05)
