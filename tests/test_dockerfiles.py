"""What both Dockerfiles say of versions and files is what the project says; tests/node builds and runs them."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCKERFILES = sorted(ROOT.glob("Dockerfile.*"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


@pytest.fixture(params=DOCKERFILES, ids=lambda path: path.name)
def dockerfile(request: pytest.FixtureRequest) -> str:
    return str(request.param.read_text(encoding="utf-8"))


def test_there_are_two() -> None:
    assert [path.name for path in DOCKERFILES] == ["Dockerfile.operator", "Dockerfile.trainer"]


def test_versions_are_those_of_the_project(dockerfile: str) -> None:
    assert re.findall(r"^ARG VERSION=(.*)$", dockerfile, re.MULTILINE) == [PROJECT["project"]["version"]]
    (backend,) = PROJECT["build-system"]["requires"]
    assert f" {backend}\n" in dockerfile
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert re.findall(r"pip==[\d.]+", dockerfile) == re.findall(r"--upgrade (pip==[\d.]+)", makefile)


def test_what_is_copied_from_the_project_is_there_and_not_ignored(dockerfile: str) -> None:
    sources = [
        source
        for arguments in re.findall(r"^COPY (?!--from)(.*)$", dockerfile, re.MULTILINE)
        for source in arguments.split()[:-1]
    ]
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines() if line[0] == "!"}
    assert sources
    assert set(sources) <= allowed
    assert all((ROOT / source).exists() for source in sources)


def test_the_program_is_the_images_own(dockerfile: str) -> None:
    (extra,) = set(re.findall(r"optional-dependencies'\]\['(\w+)'\]", dockerfile))
    assert f'ENTRYPOINT ["python", "-P", "-m", "paft_{extra}"]\n' in dockerfile
    assert "\nUSER 65532:0\n" in dockerfile
