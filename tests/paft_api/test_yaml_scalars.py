"""Plain scalars against what sigs.k8s.io/yaml 1.6 (kubectl's library) made of them when it was asked."""

import math
from pathlib import Path

import pytest

from paft_api.yaml_documents import Json, read_document
from paft_api.yaml_scalars import read_scalar

KUBECTL: dict[str, Json] = {
    "1e-4": 1e-4, "1e4": 10000, "1E4": 10000, "1.0e-4": 1e-4, "1.e3": 1000, ".5": 0.5, ".5e1": 5, "-.5": -0.5, "+1": 1,
    "+1.5": 1.5, "1_000": 1000, "1_000.5": 1000.5, "0x1F": 31, "-0x1F": -31, "0b101": 5, "-0b1": -1, "0b12": "0b12",
    "0o17": 15, "017": 15, "08": 8, "1:30": "1:30", "1:30.5": "1:30.5", "1e": "1e", "e1": "e1", "0.0": 0, "-0": 0,
    "1.": 1, "12e03": 12000, "1__0": 10, "_1": "_1", "1_": 1, "1.10": 1.1, "1e5_0": 1e50, "1e400": "1e400",
    "12345678901234567890": 12345678901234567890, "123456789012345678901234567890": 1.2345678901234568e29,
    "y": True, "Y": True, "yes": True, "on": True, "true": True, "True": True, "tRue": "tRue",
    "n": False, "No": False, "OFF": False, "false": False,
    "~": None, "null": None, "Null": None, "NULL": None, "": None,
    "2024-01-01": "2024-01-01", "2024-01-01T00:00:00Z": "2024-01-01T00:00:00Z", "=": "=", "<<": "<<",
    "!!str 12": "12", "!!float 3": 3, '!!int "3"': 3, '"1e-4"': "1e-4", "'yes'": "yes",
}  # fmt: skip
KEYS = {"on": "true", "Off": "false", "1": "1", "0x10": "16", "1e4": "10000", '"on"': "on", "2024-01-01": "2024-01-01"}


@pytest.mark.parametrize("text", KUBECTL)
def test_a_value_is_what_kubectl_takes_it_for(text: str, tmp_path: Path) -> None:
    content = _read(f"value: {text}\n", tmp_path)

    assert isinstance(content, dict)
    assert (content["value"], type(content["value"])) == (KUBECTL[text], type(KUBECTL[text]))


@pytest.mark.parametrize("text", KEYS)
def test_a_key_is_what_kubectl_takes_it_for(text: str, tmp_path: Path) -> None:
    assert _read(f"{text}: value\n", tmp_path) == {KEYS[text]: "value"}


@pytest.mark.parametrize("text", [".inf", "-.inf", "+.INF", ".nan"])
def test_numbers_that_json_cannot_hold_are_recognised(text: str) -> None:
    value = read_scalar(text)

    assert isinstance(value, float)
    assert not math.isfinite(value)


def test_own_keys_win_over_merged_ones_and_the_first_merged_map_over_later_ones(tmp_path: Path) -> None:
    text = "a: &a {x: 1, v: 1, z: 1}\nb: &b {v: 2, w: 2}\nc:\n  z: 3\n  <<: [*b, *a]\n"

    content = _read(text, tmp_path)

    assert isinstance(content, dict)
    assert content["c"] == {"x": 1, "v": 2, "w": 2, "z": 3}


def _read(text: str, folder: Path) -> Json:
    path = folder / "document.yaml"
    path.write_text(text, encoding="utf-8")
    document = read_document(path)
    assert document.findings == ()
    return document.content
