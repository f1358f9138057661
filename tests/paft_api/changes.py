"""The complete job with some fields changed."""

import copy
from collections.abc import Mapping
from typing import Any

from tests.paft_api.complete_job import complete_document

from paft_api.documents import parse_path

ABSENT = object()
"""For a field that is not written out."""


_OF_DARE_TIES = {f"merge.{name}": ABSENT for name in ("density", "seed", "rescale", "election", "normalize")}
_OF_DELLA = {
    f"merge.candidates[0].{name}": ABSENT for name in ("density", "seed", "rescale", "election", "normalize", "epsilon")
}
_SOURCES = ("base", *(f"{arm}.data.{rows}[0]" for arm in ("sft", "preference") for rows in ("train", "eval")))
ALLOWED_BY: dict[str, dict[str, object]] = {
    **{f"{source}.anonymous": {f"{source}.secretRef": ABSENT} for source in _SOURCES},
    "base.cache.persistentVolumeClaim.claimName": {"base.cache": {"persistentVolumeClaim": {"claimName": "bases"}}},
    "base.cache.emptyDir.sizeLimit": {"base.cache": {"emptyDir": {}}},
    **{f"{source}.format": {f"{source}.columns": ABSENT} for source in _SOURCES[1:]},
    "sft.l1.targetSparsity": {"sft.l1.lambda": ABSENT},
    "preference.dpo.fDivergenceType": {"preference.dpo.fAlphaDivergenceCoef": ABSENT},
    "preference.method": {"preference.dpo": ABSENT},
    "preference.orpo.beta": {"preference.dpo": ABSENT, "preference.method": "orpo", "preference.orpo": {}},
    "merge.method": _OF_DARE_TIES,
    "merge.densityScope": {"merge.method": "breadcrumbs", **_OF_DARE_TIES},
    "merge.gamma": {"merge.method": "breadcrumbs", **_OF_DARE_TIES},
    "merge.epsilon": {"merge.method": "della"},
    "merge.wholeWeights": {"merge.method": "slerp", **_OF_DARE_TIES},
    "merge.candidates[0].method": _OF_DELLA,
    "merge.output.form": {"merge.candidates": ABSENT},
    "merge.output.rank": {"merge.candidates": ABSENT, "merge.output.form": "Adapter"},
}
"""What has to be different in the complete job before a field can have another value."""


def changed_job(changes: Mapping[str, object]) -> dict[str, Any]:
    """A document of its own. `changes`: values by path below spec."""
    document = complete_document()
    for path, value in changes.items():
        change(document["spec"], path, value)
    return document


def change(spec: dict[str, Any], path: str, value: object) -> None:
    """Set or remove one field."""
    *parents, last = parse_path(path)
    target: Any = spec
    for part in parents:
        target = target[part]
    if value is ABSENT:
        del target[last]
    else:
        target[last] = copy.deepcopy(value)
