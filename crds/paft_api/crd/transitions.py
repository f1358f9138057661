"""What may change of a job that runs: everything but what finished or running work depends on.

Frozen is what goes into a stage's digest, from that stage's first attempt on, and where its data and artifacts are. A
field counts as unchanged if its value is: writing a default out is no change.
"""

from collections.abc import Iterator

from pydantic import AfterValidator

from paft_api.crd.expressions import leaves, literal, unchanged
from paft_api.crd.rule import Rule, formatted
from paft_api.crd.rules import folder
from paft_api.digests import NOT_MATHEMATICS
from paft_api.model import end_with_slash
from paft_api.model_fields import field_at
from paft_api.spec import PaftJobSpec, SourceAccess
from paft_api.spec.training import TrainingSpec
from paft_api.stages import ARMS, StageName

_WITH_RESULTS = (*ARMS, StageName.MERGE)
_DEPENDENTS: dict[str, tuple[StageName, ...]] = {
    "base": _WITH_RESULTS,
    "storage": _WITH_RESULTS,
    **{stage: (stage,) for stage in _WITH_RESULTS},
}
"""Blocks of spec with frozen fields, and the stages whose start freezes them."""
_ACCESS = tuple(str(field.alias) for field in SourceAccess.model_fields.values())
_FREE_OF_STAGES = (
    "resources",
    "data.maxBadRows",
    *(f"data.{rows}[].{name}" for rows in ("train", "eval") for name in _ACCESS),
    *(f"training.{TrainingSpec.model_fields[name].alias}" for name in sorted(NOT_MATHEMATICS)),
)
_FREE: dict[str, tuple[str, ...]] = {"base": ("cache", *_ACCESS)} | dict.fromkeys(_WITH_RESULTS, _FREE_OF_STAGES)
"""Below a block: where and how, but not what."""
_ONLY_WHERE_EVALUATIONS_DECIDE = (
    *(f"data.eval[].{name}" for name in ("uri", "format", "fileType", "split", "columns", "weight")),
    "training.evalSteps",
)
"""Below an arm: without early stopping and with the last adapter published they change nothing."""
_FROZEN_OF_STORAGE = "artifactsUri"
_REMEDY = "create another PaftJob for it, which finds finished work that it shares"


def transition_rules() -> list[Rule]:
    """Rules of the whole object: whether a stage has started is in its status. One for each block of spec.

    The API server evaluates all of them at every write of a status, and each field that they read costs it time. So
    blocks are compared as a whole at first, and field by field only where they differ and a stage has started.
    """
    return [_frozen(block, stages) for block, stages in _DEPENDENTS.items()]


def frozen_fields() -> Iterator[tuple[str, tuple[StageName, ...]]]:
    """Path below spec, and the stages after whose start the field stays as it is."""
    for block, stages in _DEPENDENTS.items():
        for path in _frozen_in(block):
            yield f"{block}.{path}", stages


def _frozen_in(block: str) -> Iterator[str]:
    for path in leaves(PaftJobSpec):
        parent, _, below = path.partition(".")
        if parent == block and not _is_free(block, below):
            yield below


def _is_free(block: str, path: str) -> bool:
    if block == "storage":
        return path != _FROZEN_OF_STORAGE
    return any(path == free or path.startswith(f"{free}.") for free in _FREE[block])


def _frozen(block: str, stages: tuple[StageName, ...]) -> Rule:
    texts = [f'{_unchanged(f"{block}.{path}")} ? "" : {literal(path)}' for path in _frozen_in(block)]
    changed = f"[{', '.join(texts)}]"
    is_same = f"self.spec.{block} == oldSelf.spec.{block}"
    stage = stages[0] if len(stages) == 1 else "a stage that depends on it"
    words = f"cannot change once {stage} has started; {_REMEDY}"
    return Rule(
        rule=f'{is_same} || !({_has_started(stages)}) || {changed}.all(name, name == "")',
        message=f"what the result depends on {words}",
        message_expression=formatted(f"%s {words}", f'{changed}.filter(name, name != "")[0]'),
        field_path=f".spec.{block}",
        reason="FieldValueForbidden",
    )


def _has_started(stages: tuple[StageName, ...]) -> str:
    is_one = f"stage.name in {literal(stages)}"
    has_run = 'has(stage.state) && stage.state != "Pending" || has(stage.attempt) && stage.attempt > 0'
    known = "has(oldSelf.status) && has(oldSelf.status.stages)"
    return f"{known} && oldSelf.status.stages.exists(stage, {is_one} && ({has_run}))"


def _unchanged(path: str) -> str:
    field = field_at(PaftJobSpec, tuple(path.replace("[]", "").split(".")))
    assert field is not None, f"{path} is no field"
    block, _, below = path.partition(".")
    if below == "training.publish":
        return f"{_published(f'self.spec.{block}')} == {_published(f'oldSelf.spec.{block}')}"
    if any(isinstance(mark, AfterValidator) and mark.func is end_with_slash for mark in field.metadata):
        return f"{folder(f'self.spec.{path}')} == {folder(f'oldSelf.spec.{path}')}"
    is_same = unchanged(PaftJobSpec, path, before="oldSelf.spec", after="self.spec")
    if block in ARMS and below in _ONLY_WHERE_EVALUATIONS_DECIDE:
        return f"!{_evaluations_decide(f'oldSelf.spec.{block}')} || {is_same}"
    return is_same


def _published(arm: str) -> str:
    """training.publish of an arm, with its default worked out."""
    training = f"{arm}.training"
    default = f'has({training}.earlyStopping) ? "best" : "last"'
    return f'(!has({training}) ? "last" : has({training}.publish) ? {training}.publish : {default})'


def _evaluations_decide(arm: str) -> str:
    training = f"{arm}.training"
    return f'(has({training}) && (has({training}.earlyStopping) || {_published(arm)} == "best"))'
