"""Every document reads back as what was written, and no model lets anything in that it does not name."""

import json
from typing import Any

import pytest
from pydantic import ValidationError
from tests.paft_api.complete_job import complete_document, complete_job
from tests.paft_api.complete_reports import REPORT, STATUS, run_spec_documents
from tests.paft_api.schemas import leaf_paths, models_in

from paft_api.model import Model
from paft_api.report import StageReport
from paft_api.run_spec import RunSpec, TerminationMessage
from paft_api.spec import Metadata, PaftJob, PaftJobSpec

DOCUMENTS: list[tuple[type[Model], dict[str, Any]]] = [
    (PaftJob, complete_document() | {"status": STATUS}),
    (StageReport, REPORT),
    (TerminationMessage, {"cause": "HostOOM", "message": "m", "remedy": "r", "rank": 1, "exitCode": 65}),
    *((RunSpec, document) for document in run_spec_documents().values()),
]

NOT_WITH_THE_OTHERS = {
    *(f"spec.merge.{option}" for option in ("densityScope", "gamma", "epsilon", "wholeWeights")),
    "spec.merge.output.rank",
    "spec.base.cache.persistentVolumeClaim.claimName",
    "spec.base.cache.emptyDir.sizeLimit",
    "spec.sft.l1.targetSparsity",
    "spec.preference.orpo.beta",
}
"""Fields that the complete job cannot have: options of other methods, which its candidates have, a rank, which a
checkpoint has none of, the other places of a cache, a target beside a strength, and another way to learn from pairs."""


@pytest.mark.parametrize(("model", "document"), DOCUMENTS)
def test_documents_read_back_as_they_were_written(model: type[Model], document: dict[str, Any]) -> None:
    instance = model.model_validate_json(json.dumps(document))

    assert model.model_validate_json(instance.to_json()) == instance
    assert json.loads(instance.to_json()) == instance.to_document()


@pytest.mark.parametrize(("model", "document"), DOCUMENTS[:3])
def test_the_documents_above_have_every_field(model: type[Model], document: dict[str, Any]) -> None:
    instance = model.model_validate_json(json.dumps(document))

    missing = {path for path in leaf_paths(model) if not _values_at(instance.to_document(), path)}

    assert missing == (NOT_WITH_THE_OTHERS if model is PaftJob else set())


@pytest.mark.parametrize("document", [PaftJob, RunSpec, StageReport, TerminationMessage])
def test_fields_that_no_model_names_are_errors(document: type[Model]) -> None:
    for model in models_in(document) - {Metadata}:
        with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
            model.model_validate_json('{"unknownField": 1}')


def test_models_do_not_change() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        complete_job().spec.sft.lora.r = 1  # type: ignore[misc]


def test_a_run_spec_holds_exactly_its_stage() -> None:
    documents = run_spec_documents()

    with pytest.raises(ValidationError, match="identity.stage is sft, but the blocks given are"):
        RunSpec.model_validate_json(json.dumps(documents["sft"] | {"merge": documents["merge"]["merge"]}))
    with pytest.raises(ValidationError, match="identity.stage is merge, but the blocks given are"):
        RunSpec.model_validate_json(json.dumps(documents["merge"] | {"merge": None}))


def test_a_minimal_spec_is_enough_and_every_default_works() -> None:
    minimal = {
        "base": {"uri": "s3://models/base"},
        "storage": {"artifactsUri": "s3://paft/artifacts"},
        "sft": {"data": {"train": [{"uri": "s3://data/sft.jsonl", "format": "messages"}]}},
        "preference": {"data": {"train": [{"uri": "s3://data/pairs.jsonl", "format": "preference"}]}},
        "merge": {"output": {"uri": "s3://models/fused"}},
    }

    spec = PaftJobSpec.model_validate_json(json.dumps(minimal))

    assert spec.base.uri == "s3://models/base/"
    assert spec.sft.resources.processes == 1
    assert PaftJobSpec.model_validate_json(json.dumps(spec.to_document())) == spec


def _values_at(document: Any, path: str) -> list[Any]:
    """Those that are set; `[0]` in a path stands for any entry."""
    found = [document]
    for name in path.split("."):
        below = [value[name.removesuffix("[0]")] for value in found if name.removesuffix("[0]") in value]
        found = [entry for value in below for entry in value] if name.endswith("[0]") else below
    return found
