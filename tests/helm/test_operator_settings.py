"""The chart and the operator agree: on every setting, its default, and its bounds."""

from typing import Any

import pytest
from hack.chart.values import leaves, read_values
from tests.helm import golden
from tests.helm.helm_program import CHART, Helm, Values, by_name

from paft_operator.settings import OperatorSettings, read_settings, variable_of

LEFT_TO_THE_OPERATOR = {
    "first_lists_deadline",
    "request_timeout",
    "retry_longest",
    "leader_election",
    "identity",
    "listen_address",
}
FIELDS_BY_VALUE = {
    "reconciling.workers": "workers",
    "reconciling.progressInterval": "progress_interval",
    "reconciling.firstRetryInterval": "first_retry_interval",
    "reconciling.resyncInterval": "resync_interval",
    "leaderElection.leaseDuration": "lease_duration",
    "leaderElection.renewDeadline": "lease_renew_deadline",
    "leaderElection.retryInterval": "lease_retry_interval",
}


def test_no_setting_is_forgotten(helm: Helm) -> None:
    variables = set(_environment(helm, {}))

    assert variables == {variable_of(name) for name in OperatorSettings.model_fields.keys() - LEFT_TO_THE_OPERATOR}


def test_without_values_the_operator_has_its_own_defaults(helm: Helm) -> None:
    told = {"trainer_image": "registry.paft.dev/paft-trainer:0.1.0", "lease_namespace": "paft-system"}
    own = OperatorSettings(**told, identity="one")

    assert read_settings(["--identity", "one"], _environment(helm, {})) == own


def test_the_operator_takes_every_setting(helm: Helm) -> None:
    settings = read_settings([], _environment(helm, golden.situations()["everything"]))

    assert settings.model_dump(
        include=set(FIELDS_BY_VALUE.values()) | {"log_level", "lease_name", "trainer_image"}
    ) == {
        "trainer_image": "mirror.example.com/ml/trainer@sha256:" + "b" * 64,
        "workers": 32,
        "progress_interval": 30,
        "first_retry_interval": 60,
        "resync_interval": 86400,
        "lease_name": "paft",
        "lease_duration": 30,
        "lease_renew_deadline": 20.5,
        "lease_retry_interval": 5,
        "log_level": "DEBUG",
    }


def test_the_operator_serves_the_namespaces(helm: Helm) -> None:
    namespaced = read_settings([], _environment(helm, golden.situations()["namespaced"]))

    assert namespaced.namespaces == ("team-a", "team-b")


@pytest.mark.parametrize("path", FIELDS_BY_VALUE)
def test_bounds_are_the_same(path: str) -> None:
    values = leaves(read_values((CHART / "values.yaml").read_text(encoding="utf-8")))
    schema = next(value.schema for value in values if value.path == path)
    field = OperatorSettings.model_json_schema()["properties"][FIELDS_BY_VALUE[path]]
    bounds = ("type", "minimum", "maximum", "exclusiveMinimum")

    assert {key: schema[key] for key in bounds if key in schema} == {key: field[key] for key in bounds if key in field}


def _environment(helm: Helm, values: Values) -> dict[str, str]:
    objects = by_name(helm.render(values))
    deployment: Any = next(one for name, one in objects.items() if name.startswith("Deployment "))
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    return {variable["name"]: variable["value"] for variable in container["env"]}
