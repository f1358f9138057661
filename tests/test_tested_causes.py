"""The page that tells how each cause is tested: no cause is left out, and the tests are there."""

import ast
import re
from pathlib import Path

from paft_api.causes import Cause

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "reference" / "tested-causes.md"
ROW = re.compile(r"^\| `(\w+)` \| (really|played|replayed): [^|]+ \| `(\S+)::(\w+)` \|$", re.MULTILINE)
NOT_HERE = {Cause.CUDA_OOM, Cause.NODE_LOST, Cause.UNSCHEDULABLE}
"""Need a GPU, a second node, or a scheduler with somewhere else to go."""


def test_every_cause_is_brought_about_and_really_wherever_one_machine_can() -> None:
    text = PAGE.read_text(encoding="utf-8")
    rows = ROW.findall(text)
    assert len(rows) == len(re.findall(r"^\| `", text, re.MULTILINE))
    assert {cause for cause, *_ in rows} == {*Cause}
    assert {cause for cause, how, *_ in rows if how == "really"} == {*Cause} - NOT_HERE


def test_the_tests_that_it_names_are_there() -> None:
    for _, _, file, test in ROW.findall(PAGE.read_text(encoding="utf-8")):
        tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
        assert test in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, f"{file}::{test}"
