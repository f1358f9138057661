"""The command line as a whole: quick, documented, and without tracebacks."""

import json
import subprocess
import sys
import time
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest
import typer
from pydantic import TypeAdapter, ValidationError

from paft_api.model import Model
from paft_api.spec.merge import MergeOptions, MergeOutput
from paft_cli import __main__, merge_flags, reference
from paft_cli.app import app

HEAVY = ("torch", "transformers", "boto3", "numpy", "pydantic", "yaml", "rich", "kubernetes", "urllib3")
COMMANDS = (
    "init", "validate", "plan", "estimate", "run", "submit", "status", "watch", "logs", "retry", "suspend", "resume",
    "merge", "verify", "storage",
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


@pytest.mark.parametrize(
    ("model", "name", "words"),
    [
        (MergeOptions, "method", merge_flags.Method),
        (MergeOptions, "preset", merge_flags.Preset),
        (MergeOptions, "densityScope", merge_flags.Scope),
        (MergeOptions, "rescale", merge_flags.Rescale),
        (MergeOptions, "election", merge_flags.Election),
        (MergeOptions, "balance", merge_flags.Balance),
        (MergeOutput, "form", merge_flags.Form),
    ],
)
def test_words_of_merge_flags_are_the_contracts(model: type[Model], name: str, words: type[StrEnum]) -> None:
    field = next(field for field in model.model_fields.values() if field.alias == name)
    adapter = TypeAdapter(field.annotation)
    given = [merge_flags.fields_of({name: word})[name] for word in words]

    assert [adapter.validate_json(json.dumps(word)) for word in given] == given
    with pytest.raises(ValidationError) as caught:
        adapter.validate_json('"other"')
    assert all(repr(word) in caught.value.errors()[0]["msg"] for word in given)
    assert caught.value.errors()[0]["msg"].count("'") == 2 * len(given)


def test_every_merge_option_has_a_flag() -> None:
    group: Any = typer.main.get_command(app)
    flags = {parameter.name for parameter in group.commands["merge"].params}
    fields = {*MergeOptions.model_fields, *MergeOutput.model_fields} - {"uri"}

    assert {"weight" if field == "weights" else field for field in fields} <= flags


def test_the_reference_is_what_the_command_line_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "cli.md"
    assert reference.main(["--write", "--directory", str(tmp_path)]) == 0
    assert reference.main(["--check", "--directory", str(tmp_path)]) == 0
    text = page.read_text(encoding="utf-8")
    assert "    paft logs STAGE [FILE|NAME] [OPTIONS]\n" in text
    assert "| `[FILE\\|NAME]` | YAML file of a job on this machine, or name of a PaftJob in the cluster." in text
    assert "| `--output URI` | Empty folder for the result. Required. |" in text
    assert "| `--normalize`, `--no-normalize` | ties, dare_ties, della: " in text
    assert "| `--adapter ARM=URI` | sft=URI and preference=URI: PEFT adapter folders. |" in text
    page.write_text(text.replace("PEFT", "LoRA"), encoding="utf-8")
    assert reference.main(["--check", "--directory", str(tmp_path)]) == 1
    assert "is out of date" in capsys.readouterr().err
