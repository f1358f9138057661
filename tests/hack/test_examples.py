"""The examples are valid, and their data are apart from each other."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from paft_api.documents import load_job

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.name)
def test_job_files_are_valid(path: Path) -> None:
    assert load_job(path).metadata.name == path.stem


def test_data_files_named_by_the_quickstart_are_there() -> None:
    spec = load_job(EXAMPLES / "quickstart.yaml").spec
    sources = [source for data in (spec.sft.data, spec.preference.data) for source in (*data.train, *data.eval)]

    assert sources != []
    assert [s.uri for s in sources if not (EXAMPLES / "data" / s.uri.removeprefix("s3://data/")).is_file()] == []


def test_no_question_is_in_two_files() -> None:
    questions = [_question(row) for path in (EXAMPLES / "data").glob("*.jsonl") for row in _rows(path)]

    assert len(questions) == 256 + 16 + 192 + 16
    assert len(set(questions)) == len(questions)


def test_rejected_answers_are_worked_solutions_with_another_result() -> None:
    for name in ("pairs-train.jsonl", "pairs-eval.jsonl"):
        for row in _rows(EXAMPLES / "data" / name):
            chosen, rejected = (row[key][0]["content"] for key in ("chosen", "rejected"))
            assert _final(chosen) != _final(rejected)
            assert re.sub(r"[\d.]+", "", chosen) == re.sub(r"[\d.]+", "", rejected)


def _rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _question(row: dict[str, Any]) -> str:
    messages: list[dict[str, str]] = row.get("messages") or row["prompt"]
    return messages[0]["content"]


def _final(answer: str) -> str:
    return answer.rpartition("#### ")[2]
