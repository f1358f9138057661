"""The chart's generated files say what values.yaml, the examples and the project say."""

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from hack.chart.metadata import chart_yaml
from hack.chart.readme import readme
from hack.chart.schema import schema
from hack.chart.values import UndescribedValue, Value, leaves, read_values

from paft_api.documents import load_job

ROOT = Path(__file__).parents[2]
CHART = ROOT / "helm" / "paft-operator"
VALUES = """
# About the file, not about a value.

# -- First line,
# second line.
# @schema {type: array, items: {type: integer}}
ports: [1]

# About no value either.

image:
  # -- Which one | where.
  # @schema {enum: [a, b]}
  name: a
  # -- How old.
  age: 3
"""


def test_values_have_the_comment_above_them() -> None:
    values = read_values(VALUES)

    assert list(leaves(values)) == [
        Value(
            name="ports",
            path="ports",
            description="First line, second line.",
            default=[1],
            schema={"type": "array", "items": {"type": "integer"}},
        ),
        Value(
            name="name",
            path="image.name",
            description="Which one | where.",
            default="a",
            schema={"enum": ["a", "b"]},
        ),
        Value(name="age", path="image.age", description="How old.", default=3, schema={"type": "integer"}),
    ]
    assert [value.name for value in values] == ["ports", "image"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1", "a has no description"),
        ("# -- A.\n\na: 1", "a has no description"),
        ("b:\n  a: 1", "b.a has no description"),
        ("# A.\na: 1", "the comment of a does not begin with `# -- `"),
        ("# -- A.\na: []", "the default of a tells no type"),
        ("# -- A.\na: {}", "the default of a tells no type"),
        ("# -- A.\na: null", "the default of a tells no type"),
    ],
)
def test_a_value_that_nobody_explained_is_an_error(text: str, message: str) -> None:
    with pytest.raises(UndescribedValue, match=message):
        read_values(text)


def test_the_schema_has_every_value_and_closes_every_block() -> None:
    document = json.loads(schema(read_values(VALUES)))

    assert document["properties"]["ports"] == {
        "description": "First line, second line.",
        "type": "array",
        "items": {"type": "integer"},
        "default": [1],
    }
    assert document["properties"]["image"] == {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "name": {"description": "Which one | where.", "enum": ["a", "b"], "default": "a"},
            "age": {"description": "How old.", "type": "integer", "default": 3},
        },
    }
    assert document["additionalProperties"] is False
    assert set(document["properties"]) == {"ports", "image", "global", "enabled"}


def test_the_readme_has_a_row_for_every_value() -> None:
    lines = readme(read_values(VALUES), kubernetes=">=1.31.0-0").splitlines()

    assert lines[-3:] == [
        "| `ports` | `[1]` | First line, second line. |",
        '| `image.name` | `"a"` | Which one \\| where. One of `a`, `b`. |',
        "| `image.age` | `3` | How old. |",
    ]
    assert any("Kubernetes 1.31.0 or newer" in line for line in lines)


def test_annotations_are_brought_up_to_date_and_nothing_else_changes() -> None:
    before = (CHART / "Chart.yaml").read_text(encoding="utf-8")
    values = read_values((CHART / "values.yaml").read_text(encoding="utf-8"))
    stale = before.replace("registry.paft.dev", "old.example.com").replace("mistral", "gone")

    assert chart_yaml(stale, example=_example(), values=values) == before


def test_an_annotation_that_is_missing_is_an_error() -> None:
    with pytest.raises(ValueError, match="Chart.yaml has 0 annotations artifacthub.io/crdsExamples"):
        chart_yaml("annotations: {}\n", example=_example(), values=())


def test_the_chart_is_of_the_projects_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    chart = _chart()

    assert (chart["version"], chart["appVersion"]) == (project["version"], project["version"])
    assert chart["annotations"]["artifacthub.io/license"] == project["license"]


def test_the_example_for_artifact_hub_is_a_valid_job(tmp_path: Path) -> None:
    (example,) = yaml.safe_load(_chart()["annotations"]["artifacthub.io/crdsExamples"])
    (tmp_path / "job.yaml").write_text(yaml.safe_dump(example), encoding="utf-8")

    assert load_job(tmp_path / "job.yaml") == load_job(ROOT / "examples" / "mistral-7b.yaml")


def test_every_annotation_is_text() -> None:
    assert [key for key, value in _chart()["annotations"].items() if not isinstance(value, str)] == []


def _example() -> str:
    return (ROOT / "examples" / "mistral-7b.yaml").read_text(encoding="utf-8")


def _chart() -> dict[str, Any]:
    chart: dict[str, Any] = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
    return chart
