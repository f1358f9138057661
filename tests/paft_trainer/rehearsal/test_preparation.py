"""Prepare's checks without writing."""

from pathlib import Path
from typing import Any

import pytest
from tests.paft_trainer.prepare.jobs import findings_of, prepare_run_spec, run_prepare
from tests.run_specs import write_sums
from tests.tiny_models import build_checkpoint

from paft_api.causes import Cause
from paft_api.layout import CLAIM_FILE
from paft_api.rehearsal import RehearsedPreparation
from paft_api.run_spec import RunSpec
from paft_trainer.rehearsal.preparation import RIGHTS_NOTE, UNKNOWN_BASE_NOTE, rehearse_preparation


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A base and rows for both arms."""
    build_checkpoint(tmp_path / "base")
    write_sums(tmp_path)
    return tmp_path


def run_spec(root: Path, **changes: Any) -> RunSpec:
    return prepare_run_spec(root, {"artifactsUri": f"file://{root}/artifacts/"}, **changes)


def rehearse(told: RunSpec) -> RehearsedPreparation:
    return rehearse_preparation(told, tell=lambda message: pytest.fail(message))


def contents(root: Path) -> dict[str, tuple[int, bytes]]:
    """Every file and folder below, with time and content. The checks' own scratch files come and go in `root`."""
    return {
        str(path): (path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else b"") for path in root.rglob("*")
    }


def test_a_job_that_is_all_right_has_no_findings_and_nothing_is_written(root: Path) -> None:
    before = contents(root)
    assert rehearse(run_spec(root)) == RehearsedPreparation(notes=(RIGHTS_NOTE, UNKNOWN_BASE_NOTE))
    assert contents(root) == before


def test_all_findings_are_those_of_prepare(root: Path) -> None:
    (root / "pairs.jsonl").write_text('{"prompt": "a", "chosen": "b", "rejected": "b"}\n', encoding="utf-8")
    output = root / "artifacts" / "output"
    output.mkdir(parents=True)
    (output / "mine.txt").write_text("mine", encoding="utf-8")
    told = run_spec(root, sft__lora={"targetModules": ["q_project"]}, preference__lora={"targetModules": ["v_proj"]})
    before = contents(root)
    found = rehearse(told).findings
    assert contents(root) == before
    assert [finding.field for finding in found] == [
        "spec.sft.lora.targetModules",
        "spec.preference.data.train[0].uri",
        "spec.merge.output.uri",
    ]
    assert found[0].message == "targetModules 'q_project' is no linear module of the base"
    assert found[2].cause is Cause.ARTIFACT_MISMATCH
    assert [(finding.cause.value, finding.field, finding.message) for finding in found] == findings_of(told)


def test_what_is_indexed_already_tells_whose_a_claimed_output_is(root: Path) -> None:
    told = run_spec(root)
    run_prepare(told)
    assert told.prepare is not None
    assert rehearse(told).notes == (RIGHTS_NOTE,)
    folder = told.prepare.merge.output.uri
    place = Path(folder.removeprefix("file://"))
    place.mkdir(exist_ok=True)
    (place / CLAIM_FILE).write_text('{"recipeDigest": "sha256:another"}', encoding="utf-8")
    before = contents(root)
    (finding,) = rehearse(told).findings
    assert contents(root) == before
    assert finding.message.startswith(f"{folder} was written by another recipe (sha256:another)")
