"""The CRD as people meet it: kubectl explain, kubectl get, dry runs, and what is refused."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from hack.control_plane import ControlPlane
from hack.control_plane.client import KubernetesClient
from hack.control_plane.programs import find_or_build
from tests.paft_api.admission import Admission, Finding
from tests.paft_api.changes import changed_job
from tests.paft_api.complete_job import complete_document
from tests.paft_api.complete_reports import STATUS

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.yaml"))
NAME_MESSAGE = "use lower-case letters, digits and -, starting with a letter; at most 40 characters are allowed"


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_examples_pass_a_dry_run(example: Path, admission: Admission) -> None:
    assert admission.check(yaml.safe_load(example.read_text(encoding="utf-8"))).stored is not None


def test_nothing_is_added_to_what_is_written(admission: Admission) -> None:
    document = complete_document()

    stored = admission.check(document).stored

    assert stored is not None
    assert stored["spec"] == document["spec"]


def test_a_null_is_as_if_it_were_not_there(admission: Admission) -> None:
    stored = admission.check(changed_job({"base.chatTemplate": None, "sft.lora": None})).stored

    assert stored is not None
    assert "chatTemplate" not in stored["spec"]["base"]
    assert "lora" not in stored["spec"]["sft"]


@pytest.mark.parametrize("field", ["sft.l1.lamda", "sft.lora.rank", "trainer.podTemplate", "unknown"])
def test_unknown_fields_are_refused_by_name(field: str, admission: Admission) -> None:
    value: Any = {"status": {}} if field == "trainer.podTemplate" else 1

    verdict = admission.check(changed_job({field: value}))

    place = "spec.trainer.podTemplate.status" if field == "trainer.podTemplate" else f"spec.{field}"
    assert verdict.stored is None
    assert f'unknown field "{place}"' in verdict.message


@pytest.mark.parametrize("name", ["a" * 41, "1a", "a.b"])
def test_names_that_children_could_not_be_made_from_are_refused(name: str, admission: Admission) -> None:
    verdict = admission.check(complete_document() | {"metadata": {"name": name}})

    assert verdict.findings == (Finding("metadata.name", NAME_MESSAGE),)


@pytest.mark.parametrize("metadata", [{"name": "a" * 40}, {"name": "a"}, {"generateName": "long-name-of-a-job-"}])
def test_other_names_are_fine(metadata: dict[str, str], admission: Admission) -> None:
    assert admission.check(complete_document() | {"metadata": metadata}).stored is not None


def test_a_generated_name_is_checked_too(admission: Admission) -> None:
    verdict = admission.check(complete_document() | {"metadata": {"generateName": "a" * 36}})

    assert verdict.findings == (Finding("metadata.name", NAME_MESSAGE),)


def test_explain_says_what_fields_mean(kubectl: "Kubectl") -> None:
    text = " ".join(kubectl("explain", "paftjob.spec.sft.l1").split())

    assert "The L1 penalty of PAFT (arXiv 2406.17923, equation 6) on the adapter's factors." in text
    assert "lambda <number> Strength, compared with the gradient of the loss, after clipping with proximal" in text
    assert "mode <string> enum: proximal, subgradient, none" in text
    for part in ("spec.preference.dpo.losses", "spec.trainer.podTemplate.spec", "spec.merge.output", "status.stages"):
        assert "<no description>" not in kubectl("explain", f"paftjob.{part}").replace("metadata", "")


def test_get_shows_progress(kubectl: "Kubectl", kubernetes: KubernetesClient, namespace: str) -> None:
    document = complete_document()
    document["metadata"] = {"name": "complete", "namespace": namespace}
    created = kubernetes.create(document)
    stages = [{"name": "sft", "state": "Running", "attempt": 1, "progress": "120/900"}, {"name": "preference"}]
    status = STATUS | {"phase": "Training", "eta": "1h12m", "stages": stages}
    kubernetes.replace(created | {"status": status}, subresource="status")

    header, row = kubectl("get", "pj", "-n", namespace).splitlines()
    wide_header, wide_row = kubectl("get", "paftjobs", "-n", namespace, "-o", "wide").splitlines()

    assert header.split() == ["NAME", "PHASE", "SFT", "PREFERENCE", "METHOD", "ETA", "AGE"]
    assert row.split()[:5] == ["complete", "Training", "120/900", "ties", "1h12m"]
    assert wide_header.split() == [*header.split(), "OUTPUT"]
    assert wide_row.split()[-1] == status["output"]["uri"]
    assert "paftjob.paft.dev/complete" in kubectl("get", "all", "-n", namespace)


def test_status_is_bounded_and_apart_from_spec(
    kubernetes: KubernetesClient, admission: Admission, namespace: str
) -> None:
    document = complete_document() | {"status": {"phase": "Succeeded"}}
    document["metadata"] = {"name": "complete", "namespace": namespace}

    created = kubernetes.create(document)
    updated = kubernetes.replace(created | {"status": STATUS, "spec": {}}, subresource="status")

    assert "status" not in created
    assert updated["status"] == STATUS
    assert updated["spec"] == document["spec"]
    assert updated["metadata"]["generation"] == 1


class Kubectl:
    """The real one."""

    def __init__(self, program: Path, kubeconfig: Path) -> None:
        self._command = [program, "--kubeconfig", kubeconfig]

    def __call__(self, *arguments: str) -> str:
        """Standard output of one command."""
        return subprocess.run([*self._command, *arguments], check=True, capture_output=True, text=True).stdout


@pytest.fixture
def kubectl(control_plane: ControlPlane, admission: Admission) -> Kubectl:
    return Kubectl(find_or_build(["kubectl"])["kubectl"], control_plane.kubeconfig)
