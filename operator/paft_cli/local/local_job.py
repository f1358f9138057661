"""A job's identity on this machine: what the API server would give it in a cluster."""

import json
import uuid
from pathlib import Path
from typing import Any

from paft_api.spec import PaftJob
from paft_api.status import ConditionType, PaftJobStatus
from paft_cli.local.directories import JobDirectory
from paft_cli.local.files import write_atomically


def begin(directory: JobDirectory, job: PaftJob, job_file: Path) -> PaftJob:
    """The job with uid, generation and its last status; to be called under the job's lock.

    The generation rises when the spec has changed, and when the job had ended: then everything is judged anew, which
    repeats no work that is found by its digest.
    """
    resumed = resume(directory, job)
    document = {"file": str(job_file.absolute()), "job": resumed.model_copy(update={"status": None}).to_document()}
    write_atomically(directory.job_file, json.dumps(document, indent=2) + "\n")
    return resumed


def resume(directory: JobDirectory, job: PaftJob) -> PaftJob:
    """What `begin` returns, with nothing written."""
    status = read_status(directory)
    known = _read(directory)
    if known is None:
        uid, generation = str(uuid.uuid4()), 1
    else:
        uid, generation = known["metadata"]["uid"], known["metadata"]["generation"]
        if known["spec"] != job.spec.to_document() or is_terminal(status, generation):
            generation += 1
    metadata = job.metadata.model_copy(update={"uid": uid, "generation": generation})
    return job.model_copy(update={"metadata": metadata, "status": status})


def read_status(directory: JobDirectory) -> PaftJobStatus | None:
    """The last status; None before the first."""
    if not directory.status_file.exists():
        return None
    return PaftJobStatus.model_validate_json(directory.status_file.read_text(encoding="utf-8"))


def write_status(directory: JobDirectory, status: PaftJobStatus) -> None:
    """Replace the status."""
    write_atomically(directory.status_file, status.model_dump_json(by_alias=True, exclude_none=True, indent=2) + "\n")


def read_document(directory: JobDirectory) -> dict[str, Any]:
    """apiVersion, kind, metadata, spec and status, as `kubectl get -o json` would show them."""
    document = _read(directory) or {}
    status = read_status(directory)
    return document | {"status": status.to_document() if status is not None else {}}


def known_file(directory: JobDirectory) -> str:
    """The job file of the last `paft run`."""
    file: str = json.loads(directory.job_file.read_text(encoding="utf-8"))["file"]
    return file


def is_terminal(status: PaftJobStatus | None, generation: int) -> bool:
    """Whether this generation has succeeded or failed."""
    if status is None or status.observed_generation != generation:
        return False
    conditions = (status.condition(type_) for type_ in (ConditionType.SUCCEEDED, ConditionType.FAILED))
    return any(condition is not None and condition.status == "True" for condition in conditions)


def _read(directory: JobDirectory) -> dict[str, Any] | None:
    if not directory.job_file.exists():
        return None
    job: dict[str, Any] = json.loads(directory.job_file.read_text(encoding="utf-8"))["job"]
    return job
