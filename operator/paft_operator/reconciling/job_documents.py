"""From a PaftJob's JSON to the model; what cannot be read becomes a status that says so."""

import json
import logging
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from paft_api.conditions import INVALID_SPEC, INVALID_SPEC_REMEDY, PROGRESSING
from paft_api.spec import PaftJob
from paft_api.status import Condition, ConditionType, PaftJobStatus, Phase, StageState
from paft_api.validation_messages import message_of
from paft_api.yaml_documents import render_path
from paft_operator.observing.records import PaftJobRecord

logger = logging.getLogger(__name__)

_ENDS = (ConditionType.SUCCEEDED, ConditionType.FAILED)
"""Of the spec before; the new one has neither succeeded nor failed."""

_MOST_FINDINGS = 8


class SpecInvalid(Exception):
    """The spec is not one. `str()` names fields, values and what is allowed. `status`: what was said before."""

    def __init__(self, why: str, status: PaftJobStatus) -> None:
        super().__init__(why)
        self.status = status


def read_job(record: PaftJobRecord) -> PaftJob:
    """The PaftJob. Raises SpecInvalid.

    A status that cannot be read is taken for none: all that is finished is then found again by its content.
    """
    try:
        return PaftJob.model_validate_json(record.document)
    except ValidationError:
        return _read_parts(json.loads(record.document))


def status_in(record: PaftJobRecord) -> PaftJobStatus | None:
    """What status says, whatever the spec is."""
    return _read_status(json.loads(record.document).get("status"))


def _read_parts(document: dict[str, Any]) -> PaftJob:
    status = _read_status(document.pop("status", None))
    try:
        job = PaftJob.model_validate_json(json.dumps(document))
    except ValidationError as error:
        raise SpecInvalid(_explain(error), status or PaftJobStatus()) from error
    return job.model_copy(update={"status": status})


def _read_status(status: object) -> PaftJobStatus | None:
    if status is None:
        return None
    try:
        return PaftJobStatus.model_validate_json(json.dumps(status))
    except ValidationError as error:
        logger.error("status cannot be read and is written anew: %s", _explain(error))
        return None


def status_of_invalid_spec(before: PaftJobStatus, why: str, *, generation: int, now: datetime) -> PaftJobStatus:
    """Says so. What runs goes on, and what is finished stays, for the next valid spec."""
    message = f"{why} {INVALID_SPEC_REMEDY}"[:4096]
    verdicts = {
        ConditionType.VALIDATED: ("False", INVALID_SPEC, message),
        ConditionType.RECONCILING: ("False", PROGRESSING, ""),
        ConditionType.STALLED: ("True", INVALID_SPEC, message),
    }
    kept = [one for one in before.conditions if one.type not in verdicts and one.type not in _ENDS]
    told = [_condition(before, type_, verdict, generation, now) for type_, verdict in verdicts.items()]
    is_running = any(stage.state is StageState.RUNNING for stage in before.stages)
    return before.model_copy(
        update={
            "observed_generation": generation,
            "phase": before.phase if is_running else Phase.FAILED,
            "conditions": (*kept, *told),
        }
    )


def _condition(
    before: PaftJobStatus, type_: ConditionType, verdict: tuple[str, str, str], generation: int, now: datetime
) -> Condition:
    status, reason, message = verdict
    previous = before.condition(type_)
    since = previous.last_transition_time if previous is not None and previous.status == status else now
    fields: dict[str, Any] = {
        "type": type_,
        "status": status,
        "reason": reason,
        "message": message,
        "last_transition_time": since,
        "observed_generation": generation,
    }
    return Condition.model_validate(fields)


def _explain(error: ValidationError) -> str:
    findings = error.errors(include_url=False)
    said = [f"{render_path(finding['loc'])}: {message_of(finding['loc'], finding)}" for finding in findings]
    more = [f"and {len(said) - _MOST_FINDINGS} more"] if len(said) > _MOST_FINDINGS else []
    text = "; ".join([*said[:_MOST_FINDINGS], *more])
    return text if text.endswith(("?", ".")) else f"{text}."
