from pathlib import Path

import pytest
from tests.paft_api.schemas import models_in

from paft_api.causes import Cause
from paft_api.reference import DIRECTORY, main, pages
from paft_api.spec import PaftJob

ROOT = Path(__file__).parents[2]


def test_the_pages_in_the_repository_are_what_the_models_say() -> None:
    for name, text in pages().items():
        assert (ROOT / DIRECTORY / name).read_text(encoding="utf-8") == text, "run make generate"


def test_every_field_and_every_cause_has_a_row() -> None:
    fields = {field.alias or name for model in models_in(PaftJob) for name, field in model.model_fields.items()}
    paftjob, causes = pages()["paftjob.md"], pages()["causes.md"]

    assert [field for field in fields if f"\n| `{field}` | " not in paftjob] == []
    assert [cause for cause in Cause if f"\n| `{cause}` | " not in causes] == []


def test_tables_have_five_columns_whatever_is_in_them() -> None:
    rows = [line for line in pages()["paftjob.md"].splitlines() if line.startswith("|")]

    assert {line.replace("\\|", "").count("|") for line in rows} == {6}


def test_check_tells_which_page_is_stale(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--write", "--directory", str(tmp_path)]) == 0
    assert main(["--check", "--directory", str(tmp_path)]) == 0
    (tmp_path / "causes.md").write_text("old")

    assert main(["--check", "--directory", str(tmp_path)]) == 1
    assert capsys.readouterr().err == f"{tmp_path}/causes.md is out of date: run make generate\n"
