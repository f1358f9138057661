"""Templates merge as `kubectl patch` merges them, and none that is accepted breaks what a stage relies on."""

import copy
import json
from typing import Any

import pytest
from hypothesis import event, given
from hypothesis import strategies as st
from pydantic import ValidationError
from tests.paft_operator.manifests.golden import SETTINGS, job_of, start_of

from paft_api import stage_pods
from paft_api.spec import PaftJob
from paft_api.spec.pod_template import OWN_VOLUMES
from paft_api.stages import StageName
from paft_operator.manifests.pod_template import pod_template
from paft_operator.manifests.strategic_merge import merged

BASE: dict[str, Any] = {
    "containers": [{"name": "a", "image": "x", "env": [{"name": "E", "value": "1"}], "args": ["1", "2"]}],
    "volumes": [{"name": "v", "emptyDir": {}}],
    "nodeSelector": {"pool": "gpu"},
    "tolerations": [{"key": "k"}],
}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, {}),
        ({"nodeSelector": {"zone": "b"}}, {"nodeSelector": {"pool": "gpu", "zone": "b"}}),
        ({"tolerations": [{"key": "l"}]}, {"tolerations": [{"key": "l"}]}),
        ({"topologySpreadConstraints": [{"maxSkew": 1}]}, {"topologySpreadConstraints": [{"maxSkew": 1}]}),
        ({"volumes": [{"name": "w"}]}, {"volumes": [{"name": "v", "emptyDir": {}}, {"name": "w"}]}),
        ({"volumes": [{"name": "v", "secret": {}}]}, {"volumes": [{"name": "v", "secret": {}}]}),
        (
            {"containers": [{"name": "b"}, {"name": "a", "args": ["3"], "env": [{"name": "E", "valueFrom": {}}]}]},
            {
                "containers": [
                    {"name": "a", "image": "x", "env": [{"name": "E", "valueFrom": {}}], "args": ["3"]},
                    {"name": "b"},
                ]
            },
        ),
    ],
)
def test_maps_merge_and_lists_merge_by_key(changes: dict[str, Any], expected: dict[str, Any]) -> None:
    before = copy.deepcopy(BASE)

    assert merged(BASE, changes) == BASE | expected
    assert before == BASE


_TEXTS = st.just("x")
_NAMES = st.sampled_from([stage_pods.CONTAINER, "other", *OWN_VOLUMES, "scratch", *stage_pods.RENDEZVOUS_VARIABLES])
_PATHS = st.sampled_from(["/tmp", "/etc/paft", "/dev/shm/.", "/data", "/data", "/var/run", "/var/cache/paft/"])
_POD_FIELDS = ("restartPolicy", "hostname", "subdomain", "serviceAccountName", "schedulerName")
_CONTAINER_FIELDS = ("command", "args", "image", "restartPolicy", "terminationMessagePath", "workingDir")


def _one_of(fields: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[dict[str, Any]]:
    """A map with one of the fields: the more a template changes, the surer it is refused."""
    return st.one_of([st.fixed_dictionaries({field: values}) for field, values in fields.items()])


def _entries(field: str, key: str, keys: st.SearchStrategy[str], **rest: st.SearchStrategy[Any]) -> dict[str, Any]:
    entry = st.fixed_dictionaries({key: keys, **rest})
    return {field: st.tuples(entry).map(list)}


_CONTAINER = _one_of(
    {
        **_entries("env", "name", _NAMES, value=_TEXTS),
        **_entries("volumeMounts", "mountPath", _PATHS, name=st.just("scratch")),
        **dict.fromkeys(_CONTAINER_FIELDS, _TEXTS),
    }
).map(lambda changes: [{"name": stage_pods.CONTAINER, **changes}])
_SPEC = _one_of(
    {
        "containers": _CONTAINER,
        **_entries("volumes", "name", _NAMES, emptyDir=st.just({})),
        **dict.fromkeys(_POD_FIELDS, _TEXTS),
    }
)
_METADATA = _one_of({"labels": st.sampled_from([{"paft.dev/job-uid": "x"}, {"job-name": "x"}, {"tier": "x"}])})
_TEMPLATES = st.one_of(_SPEC.map(lambda spec: {"spec": spec}), _METADATA.map(lambda metadata: {"metadata": metadata}))


@given(template=_TEMPLATES, stage=st.sampled_from(list(StageName)))
def test_a_template_is_refused_or_leaves_what_a_stage_relies_on(template: dict[str, Any], stage: StageName) -> None:
    job = job_of("secret_and_endpoint")
    document: Any = job.to_document()
    document["spec"]["trainer"]["podTemplate"] = template
    try:
        changed = PaftJob.model_validate_json(json.dumps(document))
    except ValidationError:
        event("refused")
        return

    action = start_of(stage, 1)
    assert _relied_on(pod_template(changed, action, SETTINGS)) == _relied_on(pod_template(job, action, SETTINGS))


def _relied_on(template: dict[str, Any]) -> dict[str, Any]:
    """Of a pod template: all that a stage, its rendezvous and its observation need."""
    pod = template["spec"]
    container = next(entry for entry in pod["containers"] if entry["name"] == stage_pods.CONTAINER)
    variables = [entry for entry in container["env"] if entry["name"] in stage_pods.RENDEZVOUS_VARIABLES]
    own_mounts = [mount for mount in container["volumeMounts"] if mount["mountPath"] != "/data"]
    return {
        "labels": {key: value for key, value in template["metadata"]["labels"].items() if key != "tier"},
        "pod": {
            field: pod.get(field)
            for field in (
                "restartPolicy",
                "hostname",
                "subdomain",
                "serviceAccountName",
                "terminationGracePeriodSeconds",
                "activeDeadlineSeconds",
            )
        },
        "container": {
            field: container.get(field)
            for field in ("command", "args", "image", "restartPolicy", "terminationMessagePath")
        },
        "rendezvous": variables,
        "mounts": own_mounts,
        "volumes": [volume for volume in pod["volumes"] if volume["name"] in OWN_VOLUMES],
        "volume names": sorted({mount["name"] for mount in own_mounts} - {volume["name"] for volume in pod["volumes"]}),
    }
