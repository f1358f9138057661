"""The README and the guides say what is there: commands, job files, links."""

import os
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import click
import pytest
import typer

from paft_api.documents import load_job
from paft_cli.app import app

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
HAND_WRITTEN = [page for page in PAGES if "<!-- Generated" not in page.read_text(encoding="utf-8")]
TARGETS = {
    "help", "demo", "test", "e2e", "cluster", "lint", "format", "generate", "verify", "bench", "campaign",
    "constraints", "clean",
}  # fmt: skip


def test_the_readme_begins_with_its_two_commands() -> None:
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()

    assert lines[:4] == ["# PAFT", "", "    make demo", "    make test"]


def test_ci_runs_the_command_that_the_readme_names() -> None:
    script = ROOT / ".ci" / "run"

    assert script.read_text(encoding="utf-8").splitlines()[-1] == "exec make test"
    assert os.access(script, os.X_OK)


def test_make_test_is_everything() -> None:
    commands = _dry_run("test")

    for expected in (
        "ruff check .",
        "ruff format --check .",
        "mypy -p paft_api -p paft_operator -p paft_cli",
        "lint-imports",
        "paft_api.reference --check",
        "paft_cli.reference --check",
        "hack.chart --check",
        "hack.merge_pictures --check",
        'pytest -m "not (slow or node or e2e)"',
        "pytest -m slow",
        "hack.node run -- .venv/bin/python -m pytest -m node",
    ):
        assert expected in commands, expected


def test_make_demo_runs_the_quickstart_with_paft_run() -> None:
    assert "python -m hack.demo" in _dry_run("demo")
    assert 'Path("examples/quickstart.yaml")' in (ROOT / "hack" / "demo.py").read_text(encoding="utf-8")


def test_help_shows_every_target_and_pages_name_no_other() -> None:
    shown = {line.split()[0] for line in _make("help").splitlines()}
    named = {
        target for page in PAGES for target in re.findall(r"\bmake ([a-z0-9]+)\b", _code(page)) if target != "python"
    }

    assert shown == TARGETS
    assert {"demo", "test"} <= named <= TARGETS


@pytest.mark.parametrize("page", HAND_WRITTEN, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8"))

    assert [target for target in targets if "://" not in target and not (page.parent / target).is_file()] == []


def test_every_page_is_linked_from_the_readme() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")

    assert [str(page.relative_to(ROOT)) for page in PAGES[1:] if f"({page.relative_to(ROOT)})" not in text] == []


def test_paft_commands_in_the_pages_are_commands() -> None:
    commands = {line for page in HAND_WRITTEN for line in _paft_lines(page)}
    group: Any = typer.main.get_command(app)

    assert {shlex.split(line)[1] for line in commands} == set(group.commands)
    for line in commands:
        name, *arguments = shlex.split(line, comments=True)[1:]
        with group.commands[name].make_context(name, arguments, parent=click.Context(group)):
            pass


def test_job_files_in_the_pages_are_valid(tmp_path: Path) -> None:
    blocks = [
        block
        for page in HAND_WRITTEN
        for block in re.findall(r"```yaml\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    ]

    assert len(blocks) >= 2
    for block in blocks:
        (tmp_path / "job.yaml").write_text(block, encoding="utf-8")
        load_job(tmp_path / "job.yaml")


def _code(page: Path) -> str:
    """What a page shows as code: indented lines and `spans`."""
    text = page.read_text(encoding="utf-8")
    return "\n".join([*re.findall(r"^    .*$", text, flags=re.MULTILINE), *re.findall(r"`([^`\n]+)`", text)])


def _paft_lines(page: Path) -> list[str]:
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    return re.findall(r"^    ((?:\.venv/bin/)?paft .*)$", text, flags=re.MULTILINE)


def _make(*arguments: str) -> str:
    result = subprocess.run(["make", "--no-print-directory", *arguments], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return result.stdout


def _dry_run(target: str) -> str:
    return _make("--dry-run", target)
