"""What the API server says of a PaftJob, beside what the models say."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from hack.control_plane.client import Kind, KubernetesClient, Object
from kubernetes.client.exceptions import ApiException

from paft_api.documents import load_job
from paft_api.errors import JobFileInvalid
from paft_api.spec.job import API_VERSION, KIND

PAFT_JOB = Kind(API_VERSION, KIND)


class Finding(NamedTuple):
    """One thing wrong: the path of a field, and what is said of it."""

    field: str
    message: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """`stored`: the object as it was admitted, None if it was refused. `message`: the whole answer to a refusal."""

    stored: Object | None
    findings: tuple[Finding, ...] = ()
    message: str = ""


class Admission:
    """Asks the API server, and leaves nothing there."""

    def __init__(self, kubernetes: KubernetesClient) -> None:
        self._kubernetes = kubernetes

    def check(self, document: dict[str, Any]) -> Verdict:
        """A dry run of creating `document`, in the default namespace."""
        metadata = document["metadata"] | {"namespace": "default"}
        try:
            return Verdict(stored=self._kubernetes.create(document | {"metadata": metadata}, dry_run=True))
        except ApiException as error:
            return refusal(error)


def refusal(error: ApiException) -> Verdict:
    """What the API server says is wrong. Raises the error itself if it is no refusal of an object."""
    if error.status not in (400, 422):
        raise error
    answer = json.loads(error.body)
    causes = (answer.get("details") or {}).get("causes") or []
    findings = tuple(Finding(cause.get("field", ""), _without_reason(cause["message"])) for cause in causes)
    return Verdict(stored=None, findings=findings, message=answer["message"])


def _without_reason(message: str) -> str:
    """Without `Invalid value: "orpo": ` and the like."""
    return re.sub(r'^[A-Z][a-z]+( [a-z]+)?: (("[^"]*"|true|false|-?[0-9.]+): )?', "", message)


def findings_of_models(document: dict[str, Any], directory: Path) -> list[Finding]:
    """What a job file with this content is told."""
    file = directory / "job.yaml"
    file.write_text(json.dumps(document), encoding="utf-8")
    try:
        load_job(file)
    except JobFileInvalid as error:
        return [Finding(finding.path, finding.message) for finding in error.findings]
    return []
