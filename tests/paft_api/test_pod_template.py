"""A pod template may change everything but what a stage relies on."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from paft_api import stage_pods
from paft_api.labels import RESERVED_KEYS, RESERVED_PREFIXES
from paft_api.spec.pod_template import CONTAINER_FIELDS, OWN_DIRECTORIES, OWN_VOLUMES, POD_FIELDS
from paft_api.spec.trainer import TrainerSpec

PAGE = Path(__file__).parents[2] / "docs" / "concepts" / "pods.md"

ACCEPTED: dict[str, dict[str, Any]] = {
    "nothing": {},
    "labels and annotations": {"metadata": {"labels": {"tier": "batch"}, "annotations": {"a.b/c": "d"}}},
    "placement": {"spec": {"nodeName": "n", "hostNetwork": True, "dnsPolicy": "ClusterFirstWithHostNet"}},
    "a sidecar": {"spec": {"containers": [{"name": "proxy", "command": ["proxy"], "restartPolicy": "Always"}]}},
    "an own volume": {"spec": {"volumes": [{"name": "ca", "secret": {"secretName": "ca"}}]}},
    "another scratch": {"spec": {"volumes": [{"name": "scratch", "emptyDir": {"sizeLimit": "1Ti"}}]}},
    "a mount below ours": {"spec": {"containers": [{"name": "trainer", "volumeMounts": [{"mountPath": "/tmp/a"}]}]}},
    "another user": {"spec": {"containers": [{"name": "trainer", "securityContext": {"runAsUser": 0}}]}},
}

_TRAINER = "spec.containers[0]"
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no part of it": ({"status": {}}, "status is no part of a pod template; it has metadata and spec"),
    "a name": ({"metadata": {"name": "x"}}, "metadata.name cannot be set; labels and annotations can"),
    "our label": ({"metadata": {"labels": {"paft.dev/stage": "x"}}}, "metadata.labels names paft.dev/stage, which"),
    "the Job controller's label": (
        {"metadata": {"labels": {"job-name": "x"}}},
        "metadata.labels names job-name, which",
    ),
    "restart policy": ({"spec": {"restartPolicy": "OnFailure"}}, "spec.restartPolicy cannot be set: what failed"),
    "subdomain": ({"spec": {"subdomain": "x"}}, "spec.subdomain cannot be set: the pods of an arm"),
    "account": ({"spec": {"serviceAccountName": "x"}}, "cannot be set: use trainer.serviceAccountName"),
    "grace": ({"spec": {"terminationGracePeriodSeconds": 1}}, "use trainer.terminationGracePeriodSeconds"),
    "deadline": ({"spec": {"activeDeadlineSeconds": 1}}, "use runPolicy.activeDeadlineSeconds"),
    "command": (
        {"spec": {"containers": [{"name": "trainer", "command": ["sh"]}]}},
        f"{_TRAINER}.command cannot be set: it starts the stage",
    ),
    "image": ({"spec": {"containers": [{"name": "trainer", "image": "x"}]}}, "use trainer.image"),
    "rendezvous": (
        {"spec": {"containers": [{"name": "trainer", "env": [{"name": "MASTER_ADDR", "value": "x"}]}]}},
        f"{_TRAINER}.env[0].name MASTER_ADDR is set by the operator; remove it",
    ),
    "a mount over ours": (
        {"spec": {"containers": [{"name": "trainer", "volumeMounts": [{"mountPath": "/dev/./shm/", "name": "x"}]}]}},
        f"{_TRAINER}.volumeMounts[0].mountPath /dev/./shm/ would hide a directory of the stage",
    ),
    "a mount above ours": (
        {"spec": {"containers": [{"name": "trainer", "volumeMounts": [{"mountPath": "/etc", "name": "x"}]}]}},
        "mountPath /etc would hide",
    ),
    "our volume": (
        {"spec": {"volumes": [{"name": "api-access", "emptyDir": {}}]}},
        "spec.volumes[0].name api-access is one of the stage's own; use another name",
    ),
    "a null": ({"spec": {"volumes": None}}, "podTemplate.spec.volumes is empty"),
    "a null in a list": ({"spec": {"containers": [{"name": "x", "args": None}]}}, r"containers[0].args is empty"),
    "a directive": ({"spec": {"$patch": "replace"}}, "podTemplate.spec.$patch is a patch directive"),
    "no list": ({"spec": {"containers": {}}}, "spec.containers is not a list"),
    "no map": ({"spec": []}, "spec is not a map"),
    "no name": ({"spec": {"containers": [{"image": "x"}]}}, "spec.containers[0] is not a map with a name"),
    "a name twice": (
        {"spec": {"volumes": [{"name": "a"}, {"name": "a"}]}},
        "spec.volumes has two entries with one name; merge them into one",
    ),
}


@pytest.mark.parametrize("case", ACCEPTED)
def test_what_a_stage_does_not_rely_on_may_be_changed(case: str) -> None:
    assert TrainerSpec.model_validate({"podTemplate": ACCEPTED[case]}).pod_template == ACCEPTED[case]


@pytest.mark.parametrize("case", REFUSED)
def test_what_a_stage_relies_on_is_refused_by_name(case: str) -> None:
    template, expected = REFUSED[case]

    with pytest.raises(ValidationError) as refused:
        TrainerSpec.model_validate({"podTemplate": template})

    assert [(error["loc"], expected in error["msg"]) for error in refused.value.errors()] == [(("podTemplate",), True)]


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("podLabels", {"paft.dev/stage": "x"}, "paft.dev/stage is set by the operator or by Kubernetes; remove it"),
        ("podLabels", {"app.kubernetes.io/name": "x"}, "app.kubernetes.io/name is set by"),
        ("podAnnotations", {"batch.kubernetes.io/job-completion-index": "1"}, "is set by the operator or by"),
        ("podLabels", {"not a key": "x"}, "String should match pattern"),
        ("podLabels", {"key": "not a value"}, "String should match pattern"),
        ("env", [{"name": "MASTER_PORT", "value": "1"}], "MASTER_PORT is set by the operator; remove it"),
    ],
)
def test_labels_annotations_and_variables_of_ours_are_refused(field: str, value: object, expected: str) -> None:
    with pytest.raises(ValidationError, match=expected):
        TrainerSpec.model_validate({field: value}, strict=False)


def test_the_page_about_pods_names_all_that_is_refused() -> None:
    page = PAGE.read_text(encoding="utf-8")
    refused = [
        *POD_FIELDS,
        *CONTAINER_FIELDS,
        *OWN_VOLUMES,
        *OWN_DIRECTORIES,
        *stage_pods.RENDEZVOUS_VARIABLES,
        *RESERVED_KEYS,
        *(f"{prefix}*" for prefix in RESERVED_PREFIXES),
    ]

    assert [name for name in refused if f"`{name}`" not in page] == []
