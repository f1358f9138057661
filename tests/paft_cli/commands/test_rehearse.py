"""`paft merge --dry-run`."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tests.tiny_models import build_adapter, build_checkpoint
from typer.testing import CliRunner

from paft_api.rehearsal import Rehearsal
from paft_cli.app import app
from paft_cli.commands.merge import MergeArguments
from paft_cli.commands.rehearse import rehearse_merge
from paft_cli.errors import CommandError
from paft_cli.local.directories import HOME_VARIABLE

CANDIDATES = "- {name: arc, method: slerp}\n- {name: whole, method: ties, densityScope: Model}\n"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base, two adapters and a file with candidates."""
    root = tmp_path_factory.mktemp("rehearse")
    base = build_checkpoint(root / "base", "llama", dtype=torch.bfloat16)
    build_adapter(root / "sft", base, seed=1)
    build_adapter(root / "preference", base, seed=2, std=0.0005)
    (root / "candidates.yaml").write_text(CANDIDATES, encoding="utf-8")
    return root


@pytest.fixture(autouse=True)
def home(root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """paft's own folder; compiled kernels in it serve all these tests."""
    monkeypatch.setenv(HOME_VARIABLE, str(root / "home"))
    return root / "home"


def arguments(root: Path) -> MergeArguments:
    return MergeArguments(
        base=str(root / "base"),
        adapters=(f"sft={root}/sft", f"preference={root}/preference"),
        output=str(root / "fused"),
        options={"method": "ties", "density": 0.5},
        weights=(),
        output_options={},
        recipe=None,
        candidates=root / "candidates.yaml",
        endpoint=None,
        region=None,
    )


@pytest.fixture(scope="module")
def document(root: Path) -> str:
    """What the trainer says of these arguments."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv(HOME_VARIABLE, str(root / "home"))
        given = f"--base {root}/base --adapter sft={root}/sft --adapter preference={root}/preference"
        given += f" --output {root}/fused --method ties --density 0.5 --candidates {root}/candidates.yaml"
        ended = CliRunner().invoke(app, ["merge", *given.split(), "--dry-run", "--json"])
    assert ended.exit_code == 0, ended.output
    return ended.stdout


def test_json_is_the_rehearsal_and_nothing_is_written(root: Path, document: str, home: Path) -> None:
    rehearsal = Rehearsal.model_validate_json(document)
    assert rehearsal.base == f"file://{root}/base/"
    assert [(one.name, one.method) for one in rehearsal.merges] == [(None, "ties"), ("arc", "slerp"), ("whole", "ties")]
    assert all(one.sampled is not None and len(one.layers) == 2 for one in rehearsal.merges)
    assert not (root / "fused").exists()
    assert [path.name for path in home.rglob("*") if path.is_dir()][:2] == ["cache", "kernels"]


def test_text_has_sizes_estimate_figures_and_warnings(
    root: Path, document: str, capsys: pytest.CaptureFixture[str]
) -> None:
    told = Rehearsal.model_validate_json(document)
    slow = told.model_copy(update={"seconds": 754.0, "peak_memory_bytes": 410_000_000})
    as_told = (sys.executable, "-c", f"print({slow.to_json()!r})")

    assert rehearse_merge(arguments(root), as_json=False, command=as_told) == 0

    said = capsys.readouterr().out.splitlines()
    assert said[0] == "Dry run: nothing was claimed or written."
    assert said[2].startswith(f"file://{root}/base/: 14 tensors merged, 7 copied; ")
    assert said[4].split()[:3] == ["main", "ties", "1"]
    assert said[6].split()[-2:] == [f"file://{root}/fused/candidates/whole/", "free"]
    assert "about 12m34s and 410.0 MB of memory, without writing" in said
    assert [line.split()[:2] for line in said if line.startswith("arc ")][1:] == [
        ["arc", "0"],
        ["arc", "1"],
        ["arc", "all"],
    ]
    assert any(line.startswith("Warning (main): the sft delta is ") for line in said)
    assert said[-len(told.notes) :] == list(told.notes)


def test_what_a_merge_would_refuse_is_refused(root: Path, capfd: pytest.CaptureFixture[str]) -> None:
    wrong = replace(arguments(root), base=f"{root}/elsewhere", candidates=None)
    assert rehearse_merge(wrong, as_json=False) == 1
    said = capfd.readouterr()
    assert said.out == ""
    assert said.err.endswith(f"file://{root}/elsewhere/ is empty or does not exist\n  Check base.uri.\n")


def test_json_is_for_dry_runs(root: Path) -> None:
    ended = CliRunner().invoke(app, ["merge", "--base", "b", "--output", "o", "--json"])
    assert isinstance(ended.exception, CommandError)
    assert str(ended.exception) == "--json is the form of --dry-run; add that, or leave --json out"
