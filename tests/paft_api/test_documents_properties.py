"""Whatever is in a file: a job, or findings that a person can read. Never another error."""

import json
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from tests.paft_api.complete_job import complete_document
from tests.paft_api.schemas import leaf_paths

from paft_api.documents import load_job, parse_path
from paft_api.errors import JobFileInvalid
from paft_api.spec import PaftJob
from paft_api.yaml_documents import render_path

PATHS = [path for path in leaf_paths(PaftJob) if not path.startswith("status.")]
BLOCKS = sorted({path.rpartition(".")[0] for path in PATHS} - {""})
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
WORDS_OF_PYDANTIC = re.compile(r"Input should|validation error|pydantic|Traceback", re.IGNORECASE)


@pytest.fixture(scope="module")
def job_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("jobs") / "job.yaml"


@given(path=st.sampled_from(PATHS + BLOCKS), value=VALUES)
def test_any_value_in_any_place(job_file: Path, path: str, value: object) -> None:
    document = complete_document()
    _set(document, path, value)
    job_file.write_text(json.dumps(document), encoding="utf-8")

    for line in _findings(job_file):
        assert not WORDS_OF_PYDANTIC.search(line), line


@given(text=st.text(alphabet=st.characters(codec="utf-8")) | st.text(alphabet="{}[]:,-&*<!|>'\"%@\n\t #a1?~"))
def test_any_text(job_file: Path, text: str) -> None:
    job_file.write_bytes(text.encode())

    assert _findings(job_file) != []


@given(path=st.sampled_from(PATHS))
def test_paths_read_back_as_they_are_shown(path: str) -> None:
    assert render_path(parse_path(path)) == path


def test_a_valid_document_has_no_findings_in_either_notation(job_file: Path) -> None:
    for text in (json.dumps(complete_document()), yaml.safe_dump(complete_document())):
        job_file.write_text(text, encoding="utf-8")
        assert _findings(job_file) == []


def _findings(path: Path) -> list[str]:
    try:
        load_job(path)
    except JobFileInvalid as error:
        return str(error).splitlines()
    return []


def _set(document: dict[str, Any], path: str, value: object) -> None:
    """Set one field; blocks and lists on the way that are not there are made."""
    parts = parse_path(path)
    target: Any = document
    for part, below in pairwise(parts):
        if isinstance(part, str):
            target.setdefault(part, [{}] if isinstance(below, int) else {})
        target = target[part]
    target[parts[-1]] = value
