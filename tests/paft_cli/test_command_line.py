"""The command line as a whole: quick, documented, and without tracebacks."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from paft_api.spec.merge import MergeMethod
from paft_cli import __main__, reference
from paft_cli.app import Method

HEAVY = ("torch", "transformers", "boto3", "numpy", "pydantic", "yaml", "rich", "kubernetes", "urllib3")
COMMANDS = (
    "validate", "plan", "run", "submit", "status", "watch", "logs", "retry", "suspend", "resume", "merge", "verify",
)  # fmt: skip


def test_help_imports_nothing_heavy_and_answers_in_half_a_second() -> None:
    script = (
        "import sys; from paft_cli.__main__ import main\n"
        "sys.argv = ['paft', '--help']\n"
        "try: main()\n"
        f"finally: print('imported:', [name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    )
    seconds = []
    for _ in range(3):
        started = time.monotonic()
        ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
        seconds.append(time.monotonic() - started)
    assert ended.stderr == "imported: []\n"
    assert all(f"\n  {command} " in ended.stdout for command in COMMANDS)
    assert min(seconds) < 0.5


def test_a_bad_job_file_ends_with_all_errors_and_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "job.yaml"
    file.write_text("apiVersion: paft.dev/v1alpha1\nkind: PaftJobb\nmetadata: {name: demo}\nspec: {bas: {}}\n")
    for command in ("validate", "plan", "run"):
        monkeypatch.setattr(sys, "argv", ["paft", command, str(file)])
        with pytest.raises(SystemExit) as ended:
            __main__.main()
        assert ended.value.code == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        assert f"{file}:2:1: kind: " in captured.err
        assert f"{file}:4:8: spec.bas: unknown field" in captured.err
        assert "Traceback" not in captured.err


def test_a_good_job_file_is_one_line(
    workplace: object, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["paft", "validate", "job.yaml"])
    with pytest.raises(SystemExit) as ended:
        __main__.main()
    assert ended.value.code == 0
    assert capsys.readouterr().out == "job.yaml: PaftJob played is valid\n"


def test_merge_methods_are_the_contracts() -> None:
    assert [method.value for method in Method] == [method.value for method in MergeMethod]


def test_the_reference_is_what_the_command_line_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "cli.md"
    assert reference.main(["--write", "--directory", str(tmp_path)]) == 0
    assert reference.main(["--check", "--directory", str(tmp_path)]) == 0
    text = page.read_text(encoding="utf-8")
    assert "    paft logs STAGE [FILE|NAME] [OPTIONS]\n" in text
    assert "| `[FILE\\|NAME]` | YAML file of a job on this machine, or name of a PaftJob in the cluster." in text
    assert "| `--adapter ARM=URI` | sft=URI and preference=URI: PEFT adapter folders. Required. |" in text
    page.write_text(text.replace("PEFT", "LoRA"), encoding="utf-8")
    assert reference.main(["--check", "--directory", str(tmp_path)]) == 1
    assert "is out of date" in capsys.readouterr().err
