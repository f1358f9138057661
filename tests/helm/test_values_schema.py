"""Values that cannot be meant are refused before anything is rendered, and the message says which."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hack.chart.values import Value, read_values
from tests.helm.helm_program import CHART, Helm, HelmRefused, Values

VALUES = read_values((CHART / "values.yaml").read_text(encoding="utf-8"))


def _blocks(values: tuple[Value, ...]) -> Iterator[str]:
    for value in values:
        if value.children:
            yield value.path
            yield from _blocks(value.children)


@pytest.mark.parametrize("block", ["", *_blocks(VALUES), "resources"])
def test_a_typo_is_refused_in_every_block(helm: Helm, block: str) -> None:
    values: Values = {"typo": 1}
    for name in reversed(block.split(".") if block else []):
        values = {name: values}
    place = "/".join(["", *block.split(".")]) if block else ""

    with pytest.raises(HelmRefused) as refusal:
        helm.render(values)

    assert f"- at '{place}': additional properties 'typo' not allowed" in str(refusal.value)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"replicas": "two"}, "at '/replicas': got string, want integer"),
        ({"replicas": -1}, "at '/replicas': minimum: got -1, want 0"),
        ({"scope": "Cluster"}, "at '/scope': value must be one of 'cluster', 'namespaced'"),
        ({"logLevel": "INFO"}, "at '/logLevel': value must be one of 'debug', 'info', 'warning', 'error'"),
        ({"watchNamespaces": "team-a"}, "at '/watchNamespaces': got string, want array"),
        (
            {"scope": "namespaced", "watchNamespaces": ["Team"]},
            "at '/watchNamespaces/0': 'Team' does not match pattern",
        ),
        ({"scope": "namespaced", "watchNamespaces": ["a", "a"]}, "at '/watchNamespaces': items at 0 and 1 are equal"),
        ({"image": {"digest": "sha256:abc"}}, "at '/image/digest': 'sha256:abc' does not match pattern"),
        ({"image": {"repository": ""}}, "at '/image/repository': minLength: got 0, want 1"),
        ({"image": {"tag": 1.0}}, "at '/image/tag': got number, want string"),
        ({"image": {"pullPolicy": "Sometimes"}}, "at '/image/pullPolicy': value must be one of"),
        ({"imagePullSecrets": ["registry"]}, "at '/imagePullSecrets/0': got string, want object"),
        ({"imagePullSecrets": [{}]}, "at '/imagePullSecrets/0': missing property 'name'"),
        ({"crds": {"enabled": "yes"}}, "at '/crds/enabled': got string, want boolean"),
        ({"crds": {"annotations": {"a": True}}}, "at '/crds/annotations/a': got boolean, want string"),
        ({"reconciling": {"workers": 0}}, "at '/reconciling/workers': minimum: got 0, want 1"),
        ({"leaderElection": {"leaseDuration": 0}}, "at '/leaderElection/leaseDuration': exclusiveMinimum"),
        ({"resources": {"limits": {"memory": "1 GB"}}}, "at '/resources/limits/memory': '1 GB' does not match pattern"),
        ({"serviceMonitor": {"interval": "soon"}}, "at '/serviceMonitor/interval': 'soon' does not match pattern"),
        ({"networkPolicy": {"apiServerPorts": []}}, "at '/networkPolicy/apiServerPorts': minItems: got 0, want 1"),
        (
            {"podDisruptionBudget": {"maxUnavailable": "half"}},
            "at '/podDisruptionBudget/maxUnavailable': 'half' does not",
        ),
        ({"nodeSelector": {"a": 1}}, "at '/nodeSelector/a': got number, want string"),
    ],
)
def test_a_bad_value_is_refused(helm: Helm, values: dict[str, Any], message: str) -> None:
    with pytest.raises(HelmRefused) as refusal:
        helm.render(values)

    assert "values don't meet the specifications of the schema(s)" in str(refusal.value)
    assert message in str(refusal.value)


def test_all_findings_are_told_at_once(helm: Helm) -> None:
    with pytest.raises(HelmRefused) as refusal:
        helm.render({"replicas": -1, "scope": "all", "imag": {}})

    assert [word for word in ("/replicas", "/scope", "'imag'") if word not in str(refusal.value)] == []


def test_it_can_be_a_dependency_of_another_chart(helm: Helm, tmp_path: Path) -> None:
    (tmp_path / "Chart.yaml").write_text(
        "apiVersion: v2\nname: platform\nversion: 1.0.0\ndependencies:\n"
        f"- {{name: paft-operator, version: 0.1.0, repository: 'file://{CHART}', condition: paft-operator.enabled}}\n",
        encoding="utf-8",
    )
    values = "global: {domain: example.com}\npaft-operator: {enabled: true, replicas: 2}\n"
    (tmp_path / "values.yaml").write_text(values, encoding="utf-8")
    helm.run("dependency", "build", str(tmp_path))

    assert "\n  replicas: 2\n" in helm.run("template", "platform", str(tmp_path))
    assert helm.run("template", "platform", str(tmp_path), "--set", "paft-operator.enabled=false").strip() == ""
