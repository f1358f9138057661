"""The chart's copy of the CRD, made by paft_api.crdgen, as the real helm renders it."""

from pathlib import Path

import pytest
import yaml
from tests.helm.helm_program import Helm, Values

from paft_api.crdgen import CRD_FILE, chart_template

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("crds", "annotations"),
    [
        ({"keep": False}, None),
        ({"keep": True}, {"helm.sh/resource-policy": "keep"}),
        ({"keep": False, "annotations": {"a": "{{ b }}"}}, {"a": "{{ b }}"}),
        ({"keep": True, "annotations": {"a": "b"}}, {"helm.sh/resource-policy": "keep", "a": "b"}),
    ],
)
def test_it_is_the_definition_with_annotations(helm: Helm, crds: Values, annotations: Values | None) -> None:
    expected = yaml.safe_load((ROOT / CRD_FILE).read_text(encoding="utf-8"))
    if annotations is not None:
        expected["metadata"]["annotations"] = annotations

    rendered = [one for one in helm.render({"crds": crds}) if one["kind"] == "CustomResourceDefinition"]

    assert rendered == [expected]


def test_it_is_left_out_where_it_is_not_wanted(helm: Helm) -> None:
    rendered = helm.render({"crds": {"enabled": False}})

    assert [one for one in rendered if one["kind"] == "CustomResourceDefinition"] == []


def test_no_part_of_a_description_is_taken_for_a_template(helm: Helm, tmp_path: Path) -> None:
    manifest = "metadata:\n  name: paftjobs.paft.dev\ndescription: 'a {{ .Values.x }} template, {{{ and }} }}'\n"
    (tmp_path / "templates").mkdir()
    (tmp_path / "Chart.yaml").write_text("apiVersion: v2\nname: x\nversion: 1.0.0\n", encoding="utf-8")
    (tmp_path / "templates" / "crd.yaml").write_text(chart_template(manifest), encoding="utf-8")

    text = helm.run("template", "x", str(tmp_path), values={"crds": {"enabled": True, "keep": False}})

    assert yaml.safe_load(text) == yaml.safe_load(manifest)
