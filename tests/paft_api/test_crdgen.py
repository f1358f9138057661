import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.paft_api.schemas import leaf_paths

from paft_api.crd.rules import rules_of
from paft_api.crdgen import CRD_FILE, EDITOR_FILE, main, pages
from paft_api.spec import PaftJob

ROOT = Path(__file__).parents[2]


def test_the_files_in_the_repository_are_what_the_models_say() -> None:
    for name, text in pages().items():
        assert (ROOT / name).read_text(encoding="utf-8") == text, "run make generate"


def test_check_tells_which_file_is_stale(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--write", "--directory", str(tmp_path)]) == 0
    assert main(["--check", "--directory", str(tmp_path)]) == 0
    (tmp_path / CRD_FILE).write_text("old")

    assert main(["--check", "--directory", str(tmp_path)]) == 1
    assert capsys.readouterr().err == f"{tmp_path}/{CRD_FILE} is out of date: run make generate\n"


def test_a_validator_that_nobody_has_thought_about_ends_the_generator() -> None:
    def surprise(value: str) -> str:
        return value

    with pytest.raises(LookupError, match="surprise is not in the CRD: add its rule to paft_api/crd/rules.py"):
        rules_of(surprise)


def test_every_field_is_described() -> None:
    crd = yaml.safe_load(pages()[CRD_FILE])
    schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]

    missing = [
        path for path in leaf_paths(PaftJob) if not path.startswith("metadata.") and not _described(schema, path)
    ]

    assert missing == []


def test_the_definition_can_be_installed_alone() -> None:
    kustomization = yaml.safe_load((ROOT / "crds/kustomization.yaml").read_text(encoding="utf-8"))

    assert [f"crds/{name}" for name in kustomization["resources"]] == [CRD_FILE]


def test_editors_get_what_the_models_refuse_without_cel() -> None:
    schema = json.loads(pages()[EDITOR_FILE])
    spec = schema["properties"]["spec"]["properties"]
    resources = spec["sft"]["properties"]["resources"]["properties"]

    assert schema["required"] == ["apiVersion", "kind", "metadata", "spec"]
    assert schema["properties"]["kind"]["enum"] == ["PaftJob"]
    assert schema["properties"]["metadata"]["properties"]["name"]["maxLength"] == 40
    assert spec["sft"]["additionalProperties"] is False
    assert "additionalProperties" not in spec["sft"]["properties"]["training"]["properties"]["deepspeed"]
    assert spec["sft"]["properties"]["lora"]["properties"]["alpha"] == {
        "description": "Scale numerator. Default: 32.0.",
        "type": "number",
        "exclusiveMinimum": 0,
        "maximum": 65536,
    }
    assert resources["cpu"]["anyOf"][0] == {"type": "integer", "minimum": 0}
    assert resources["cpu"]["anyOf"][1]["pattern"].startswith("^[0-9]+")
    assert "x-kubernetes-" not in pages()[EDITOR_FILE]


def _described(schema: dict[str, Any], path: str) -> bool:
    node = schema
    for name in re.sub(r"\[0\]", ".items", path).split("."):
        node = node["items"] if name == "items" else node["properties"][name]
    return bool(node.get("description"))
