"""What the chart renders: whole objects against golden files, the CRD against crds/, and each value by itself."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from hack.chart.values import leaves, read_values
from tests.helm import golden
from tests.helm.helm_program import CHART, NAMESPACE, Helm, HelmRefused, Object, Values, by_name, without_crd

CRD = Path(__file__).parents[2] / "crds" / "paftjobs.paft.dev.yaml"
CRD_NAME = "CustomResourceDefinition paftjobs.paft.dev"
POD = "Deployment paft-operator: spec.template.spec"
CONTAINER = f"{POD}.containers[0]"
ABSENT = "absent"
PRESENT = "present"
DIGEST = "sha256:" + "0" * 64
TOLERATION = {"operator": "Exists"}
PEER = {"ipBlock": {"cidr": "10.0.0.1/32"}}
SPREAD = {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"}


def _variable(name: str) -> str:
    variables = (CHART / "templates" / "_environment.tpl").read_text(encoding="utf-8")
    names = [line.partition("name: PAFT_OPERATOR_")[2] for line in variables.splitlines() if "- name: " in line]
    return f"{CONTAINER}.env[{names.index(name)}].value"


# By value: what it is set to, with which others, and everything that then differs from the rendering without it.
OPTIONS: dict[str, tuple[Any, Values, dict[str, Any]]] = {
    "imageRegistry": (
        "mirror.example.com:5000/ml/",
        {},
        {
            f"{CONTAINER}.image": "mirror.example.com:5000/ml/paft-operator:0.1.0",
            _variable("TRAINER_IMAGE"): "mirror.example.com:5000/ml/paft-trainer:0.1.0",
        },
    ),
    "imagePullSecrets": ([{"name": "registry"}], {}, {f"{POD}.imagePullSecrets": [{"name": "registry"}]}),
    "image.repository": ("operator", {}, {f"{CONTAINER}.image": "registry.paft.dev/operator:0.1.0"}),
    "image.tag": ("v2", {}, {f"{CONTAINER}.image": "registry.paft.dev/paft-operator:v2"}),
    "image.digest": (
        DIGEST,
        {"image": {"tag": "v2"}},
        {f"{CONTAINER}.image": f"registry.paft.dev/paft-operator@{DIGEST}"},
    ),
    "image.pullPolicy": ("Never", {}, {f"{CONTAINER}.imagePullPolicy": "Never"}),
    "trainerImage.repository": ("trainer", {}, {_variable("TRAINER_IMAGE"): "registry.paft.dev/trainer:0.1.0"}),
    "trainerImage.tag": ("v2", {}, {_variable("TRAINER_IMAGE"): "registry.paft.dev/paft-trainer:v2"}),
    "trainerImage.digest": (DIGEST, {}, {_variable("TRAINER_IMAGE"): f"registry.paft.dev/paft-trainer@{DIGEST}"}),
    "crds.enabled": (False, {}, {CRD_NAME: ABSENT}),
    "crds.keep": (False, {}, {f"{CRD_NAME}: metadata.annotations": ABSENT}),
    "crds.annotations": ({"a": "b"}, {}, {f"{CRD_NAME}: metadata.annotations.a": "b"}),
    "watchNamespaces": (
        ["team-a"],
        {"scope": "namespaced"},
        {
            "Role paft-operator": ABSENT,
            "RoleBinding paft-operator": ABSENT,
            "Role team-a/paft-operator": PRESENT,
            "RoleBinding team-a/paft-operator": PRESENT,
            _variable("NAMESPACES"): "team-a",
        },
    ),
    "scope": (
        "namespaced",
        {},
        {
            "ClusterRole paft-operator": ABSENT,
            "ClusterRole paft-operator-edit": ABSENT,
            "ClusterRole paft-operator-view": ABSENT,
            "ClusterRoleBinding paft-operator": ABSENT,
            "Role paft-operator": PRESENT,
            "RoleBinding paft-operator": PRESENT,
            _variable("NAMESPACES"): NAMESPACE,
        },
    ),
    "rbac.create": (
        False,
        {},
        {
            "ClusterRole paft-operator": ABSENT,
            "ClusterRole paft-operator-edit": ABSENT,
            "ClusterRole paft-operator-view": ABSENT,
            "ClusterRoleBinding paft-operator": ABSENT,
            "Role paft-operator-lease": ABSENT,
            "RoleBinding paft-operator-lease": ABSENT,
        },
    ),
    "rbac.aggregate": (
        False,
        {},
        {"ClusterRole paft-operator-edit": ABSENT, "ClusterRole paft-operator-view": ABSENT},
    ),
    "serviceAccount.create": (
        False,
        {},
        {
            "ServiceAccount paft-operator": ABSENT,
            f"{POD}.serviceAccountName": "default",
            "ClusterRoleBinding paft-operator: subjects[0].name": "default",
            "RoleBinding paft-operator-lease: subjects[0].name": "default",
        },
    ),
    "serviceAccount.name": (
        "own",
        {},
        {
            "ServiceAccount paft-operator": ABSENT,
            "ServiceAccount own": PRESENT,
            f"{POD}.serviceAccountName": "own",
            "ClusterRoleBinding paft-operator: subjects[0].name": "own",
            "RoleBinding paft-operator-lease: subjects[0].name": "own",
        },
    ),
    "replicas": (2, {}, {"Deployment paft-operator: spec.replicas": 2}),
    "logLevel": ("debug", {}, {_variable("LOG_LEVEL"): "DEBUG"}),
    "leaderElection.leaseDuration": (30, {}, {_variable("LEASE_DURATION"): "30"}),
    "leaderElection.renewDeadline": (9.5, {}, {_variable("LEASE_RENEW_DEADLINE"): "9.5"}),
    "leaderElection.retryInterval": (1, {}, {_variable("LEASE_RETRY_INTERVAL"): "1"}),
    "reconciling.workers": (32, {}, {_variable("WORKERS"): "32"}),
    "reconciling.progressInterval": (0, {}, {_variable("PROGRESS_INTERVAL"): "0"}),
    "reconciling.firstRetryInterval": (60, {}, {_variable("FIRST_RETRY_INTERVAL"): "60"}),
    "reconciling.resyncInterval": (86400, {}, {_variable("RESYNC_INTERVAL"): "86400"}),
    "resources": ({"limits": {"cpu": 1}}, {}, {f"{CONTAINER}.resources.limits.cpu": 1}),
    "nodeSelector": ({"pool": "infra"}, {}, {f"{POD}.nodeSelector": {"pool": "infra"}}),
    "tolerations": ([TOLERATION], {}, {f"{POD}.tolerations": [TOLERATION]}),
    "affinity": ({"nodeAffinity": {}}, {}, {f"{POD}.affinity": {"nodeAffinity": {}}}),
    "topologySpreadConstraints": ([SPREAD], {}, {f"{POD}.topologySpreadConstraints": [SPREAD]}),
    "priorityClassName": ("high", {}, {f"{POD}.priorityClassName": "high"}),
    "podLabels": ({"a": "b"}, {}, {"Deployment paft-operator: spec.template.metadata.labels.a": "b"}),
    "podAnnotations": ({"a": "b"}, {}, {"Deployment paft-operator: spec.template.metadata.annotations": {"a": "b"}}),
    "metrics.enabled": (False, {}, {"Service paft-operator-metrics": ABSENT}),
    "serviceMonitor.enabled": (True, {}, {"ServiceMonitor paft-operator": PRESENT}),
    "serviceMonitor.interval": (
        "30s",
        {"serviceMonitor": {"enabled": True}},
        {"ServiceMonitor paft-operator: spec.endpoints[0].interval": "30s"},
    ),
    "serviceMonitor.labels": (
        {"a": "b"},
        {"serviceMonitor": {"enabled": True}},
        {"ServiceMonitor paft-operator: metadata.labels.a": "b"},
    ),
    "podMonitor.enabled": (True, {}, {"PodMonitor paft-operator": PRESENT}),
    "podMonitor.interval": (
        "30s",
        {"podMonitor": {"enabled": True}},
        {"PodMonitor paft-operator: spec.podMetricsEndpoints[0].interval": "30s"},
    ),
    "podMonitor.labels": (
        {"a": "b"},
        {"podMonitor": {"enabled": True}},
        {"PodMonitor paft-operator: metadata.labels.a": "b"},
    ),
    "networkPolicy.enabled": (True, {}, {"NetworkPolicy paft-operator": PRESENT}),
    "networkPolicy.metricsFrom": (
        [PEER],
        {"networkPolicy": {"enabled": True}},
        {"NetworkPolicy paft-operator: spec.ingress[0].from": [PEER]},
    ),
    "networkPolicy.apiServerTo": (
        [PEER],
        {"networkPolicy": {"enabled": True}},
        {"NetworkPolicy paft-operator: spec.egress[1].to": [PEER]},
    ),
    "networkPolicy.apiServerPorts": (
        [8443],
        {"networkPolicy": {"enabled": True}},
        {"NetworkPolicy paft-operator: spec.egress[1].ports": [{"port": 8443, "protocol": "TCP"}]},
    ),
    "podDisruptionBudget.enabled": (True, {}, {"PodDisruptionBudget paft-operator": PRESENT}),
    "podDisruptionBudget.maxUnavailable": (
        "50%",
        {"podDisruptionBudget": {"enabled": True}},
        {"PodDisruptionBudget paft-operator: spec.maxUnavailable": "50%"},
    ),
}
OF_EVERY_OBJECT = {"nameOverride", "fullnameOverride", "commonLabels", "commonAnnotations"}


@pytest.mark.parametrize("situation", golden.situations())
def test_objects_are_the_golden_ones(helm: Helm, situation: str) -> None:
    kept = list(yaml.safe_load_all((golden.DIRECTORY / f"{situation}.yaml").read_text(encoding="utf-8")))

    assert without_crd(helm.render(golden.situations()[situation])) == kept


def test_the_golden_files_are_those_of_the_situations() -> None:
    assert {path.stem for path in golden.DIRECTORY.iterdir()} == set(golden.situations())


def test_the_crd_is_that_of_the_contract(helm: Helm) -> None:
    expected = yaml.safe_load(CRD.read_text(encoding="utf-8"))
    plain = by_name(helm.render({"crds": {"keep": False}}))[CRD_NAME]
    kept = by_name(helm.render())[CRD_NAME]

    assert plain == expected
    assert kept == expected | {"metadata": expected["metadata"] | {"annotations": {"helm.sh/resource-policy": "keep"}}}


@pytest.mark.parametrize("path", OPTIONS)
def test_a_value_changes_exactly_what_it_should(helm: Helm, path: str) -> None:
    value, others, expected = OPTIONS[path]
    # The CRD is large: it is rendered where it matters.
    start = others if path.startswith("crds.") else others | {"crds": {"enabled": False}}

    assert _differences(helm.render(start), helm.render(_with(start, path, value))) == expected


def test_every_value_is_checked() -> None:
    paths = {value.path for value in leaves(read_values((CHART / "values.yaml").read_text(encoding="utf-8")))}

    assert paths == set(OPTIONS) | OF_EVERY_OBJECT


@pytest.mark.parametrize(("path", "key"), [("commonLabels", "labels"), ("commonAnnotations", "annotations")])
def test_common_metadata_is_on_every_object(helm: Helm, path: str, key: str) -> None:
    objects = without_crd(helm.render({path: {"team": "ml", "app.kubernetes.io/name": "other"}}))
    places = [one["metadata"][key] for one in objects]
    places += [one["spec"]["template"]["metadata"][key] for one in objects if one["kind"] == "Deployment"]

    assert [place.get("team") for place in places] == ["ml"] * len(places)
    assert {one["metadata"]["labels"]["app.kubernetes.io/name"] for one in objects} == {"paft-operator"}


@pytest.mark.parametrize(
    ("release", "values", "expected"),
    [
        ("paft-operator", {}, "paft-operator"),
        ("paft-operator-blue", {}, "paft-operator-blue"),
        ("blue", {}, "blue-paft-operator"),
        ("blue", {"nameOverride": "trainer"}, "blue-trainer"),
        ("blue", {"fullnameOverride": "green"}, "green"),
        ("r" * 53, {}, "r" * 50),
    ],
)
def test_objects_are_named_after_the_release(helm: Helm, release: str, values: Values, expected: str) -> None:
    objects = without_crd(helm.render(values, release=release))
    names = {one["metadata"]["name"] for one in objects}

    assert names == {expected, *(f"{expected}-{suffix}" for suffix in ("lease", "metrics", "view", "edit"))}


def test_the_same_values_render_the_same_text(helm: Helm) -> None:
    everything = golden.situations()["everything"]

    assert helm.render_text(everything) == helm.render_text(everything)


def test_nothing_depends_on_the_cluster_or_on_chance() -> None:
    templates = [path for path in (CHART / "templates").rglob("*") if path.is_file() and path.parent.name != "crds"]
    banned = ("lookup ", "rand", "genCA", "genSigned", "uuidv4", "now ", "helm.sh/hook", ".Capabilities", "htpasswd")

    assert len(templates) > 10
    assert [
        (path.name, word) for path in templates for word in banned if word in path.read_text(encoding="utf-8")
    ] == []


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"watchNamespaces": ["a"]}, "watchNamespaces has no effect with scope cluster: set scope to namespaced"),
        (
            {"serviceMonitor": {"enabled": True}, "metrics": {"enabled": False}},
            "serviceMonitor.enabled needs the metrics Service: set metrics.enabled to true, or use podMonitor",
        ),
        (
            {"leaderElection": {"renewDeadline": 12}},
            "leaderElection.retryInterval 2, renewDeadline 12 and leaseDuration 12 must rise in this order",
        ),
    ],
)
def test_values_that_contradict_each_other_are_refused(helm: Helm, values: Values, message: str) -> None:
    with pytest.raises(HelmRefused, match=message):
        helm.render(values)


@pytest.mark.parametrize("situation", golden.situations())
def test_lint_finds_nothing(helm: Helm, situation: str) -> None:
    output = helm.run("lint", "--strict", str(CHART), values=golden.situations()[situation])

    assert "1 chart(s) linted, 0 chart(s) failed" in output


def test_it_can_be_packed(helm: Helm, tmp_path: Path) -> None:
    helm.run("package", str(CHART), "--destination", str(tmp_path))

    assert "name: paft-operator" in helm.run("show", "chart", str(tmp_path / "paft-operator-0.1.0.tgz"))


def _with(values: Values, path: str, value: Any) -> Values:
    name, _, rest = path.partition(".")
    return values | {name: _with(values.get(name, {}), rest, value) if rest else value}


def _differences(before: list[Object], after: list[Object]) -> dict[str, Any]:
    """By object, or by place in an object that both have: what it is afterwards."""
    old, new = by_name(before), by_name(after)
    found: dict[str, Any] = dict.fromkeys(old.keys() - new.keys(), ABSENT)
    found |= dict.fromkeys(new.keys() - old.keys(), PRESENT)
    for name in old.keys() & new.keys():
        found |= {f"{name}: {place}": value for place, value in _changes(old[name], new[name], "").items()}
    return found


def _changes(before: Any, after: Any, place: str) -> dict[str, Any]:
    if isinstance(before, dict) and isinstance(after, dict):
        found: dict[str, Any] = {}
        for key in before.keys() | after.keys():
            inner = f"{place}.{key}" if place else key
            found |= _changes(before.get(key, ABSENT), after.get(key, ABSENT), inner)
        return found
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        pairs = enumerate(zip(before, after, strict=True))
        return {key: value for i, pair in pairs for key, value in _changes(*pair, f"{place}[{i}]").items()}
    return {} if before == after else {place: after}
