"""constraints/all.txt pins everything, and holds wherever packages come from."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
LINES = (ROOT / "constraints" / "all.txt").read_text(encoding="utf-8").splitlines()


def test_every_line_is_an_exact_version_and_names_no_place() -> None:
    form = re.compile(r"[a-z0-9][a-z0-9-]*==[0-9][0-9a-z.]*( ; [a-z_'\"<>=!.0-9A-Z ()]+)?")

    assert [line for line in LINES if not form.fullmatch(line)] == []


def test_every_requirement_has_a_pin() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    requirements = [
        *project["project"]["dependencies"],
        *(one for extra in project["project"]["optional-dependencies"].values() for one in extra),
        *project["dependency-groups"]["dev"],
    ]
    names = {re.split(r"[<>=\[ ]", requirement)[0].lower() for requirement in requirements}

    assert len(names) > 10
    assert names - {line.partition("==")[0] for line in LINES} == set()


def test_cuda_libraries_are_pinned_too() -> None:
    assert any(line.startswith("nvidia-nccl-") for line in LINES)
