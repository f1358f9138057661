"""`paft submit` against a real API server."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hack.control_plane.client import KubernetesClient
from tests.paft_cli.cluster.command_line import CommandLine
from tests.paft_cli.cluster.written_jobs import WrittenJobs, failed
from tests.paft_operator.cluster_jobs import PAFT_JOB, minimal_job


def change(file: Path, **spec: Any) -> None:
    document = yaml.safe_load(file.read_text(encoding="utf-8"))
    document["spec"] |= spec
    file.write_text(yaml.safe_dump(document), encoding="utf-8")


def test_it_creates_then_changes_what_the_file_says_and_nothing_else(
    paft: CommandLine, job_file: Path, written: WrittenJobs
) -> None:
    assert paft("submit", "job.yaml") == (
        0,
        f"PaftJob {written.namespace}/tiny created\nTo watch it:\n  paft watch tiny\n",
        "",
    )
    created = written.get()
    assert created["spec"] == yaml.safe_load(job_file.read_text(encoding="utf-8"))["spec"]
    (owner,) = created["metadata"]["managedFields"]
    assert (owner["manager"], owner["operation"]) == ("paft", "Apply")

    assert paft("submit", "job.yaml").out.startswith(f"PaftJob {written.namespace}/tiny unchanged\n")
    change(job_file, runPolicy={"backoffLimit": 1})
    assert paft("submit", "job.yaml").out.startswith(f"PaftJob {written.namespace}/tiny changed, generation 2\n")
    assert written.get()["spec"]["runPolicy"] == {"backoffLimit": 1}


def test_a_dry_run_stores_nothing(paft: CommandLine, job_file: Path, kubernetes: KubernetesClient) -> None:
    ended = paft("submit", "job.yaml", "--dry-run")

    assert ended.code == 0
    assert ended.out.endswith(
        "/tiny would be created (dry run: the API server has checked it, and nothing is stored)\n"
    )
    assert kubernetes.find(PAFT_JOB, "tiny", ended.out.split()[1].split("/")[0]) is None


def test_json_is_the_paft_job(paft: CommandLine, job_file: Path) -> None:
    document = json.loads(paft("submit", "job.yaml", "--output", "json").out)

    assert (document["kind"], document["metadata"]["generation"]) == ("PaftJob", 1)
    assert "managedFields" not in document["metadata"]


def test_a_wrong_file_is_refused_before_anybody_is_asked(paft: CommandLine, job_file: Path) -> None:
    change(job_file, bas={})

    ended = paft("submit", "job.yaml", "--context", "nowhere")

    assert (ended.code, ended.out) == (2, "")
    assert "spec.bas: unknown field" in ended.err


def test_what_only_the_api_server_refuses_names_file_and_field(
    paft: CommandLine, job_file: Path, written: WrittenJobs
) -> None:
    document = minimal_job()
    document["metadata"]["labels"] = {"team": "a b"}
    job_file.write_text(yaml.safe_dump(document), encoding="utf-8")

    ended = paft("submit", "job.yaml", "--dry-run")

    assert ended.code == 2
    assert ended.err.startswith('job.yaml: metadata.labels: Invalid value: "a b"')


def test_fields_of_others_are_told_and_can_be_taken_over(
    paft: CommandLine, job_file: Path, kubernetes: KubernetesClient, written: WrittenJobs
) -> None:
    assert paft("submit", "job.yaml").code == 0
    manifest = {
        "apiVersion": "paft.dev/v1alpha1",
        "kind": "PaftJob",
        "metadata": {"name": "tiny", "namespace": written.namespace},
        "spec": {"runPolicy": {"backoffLimit": 7}},
    }
    kubernetes.apply(manifest, field_manager="argocd-controller")
    change(job_file, runPolicy={"backoffLimit": 1})

    ended = paft("submit", "job.yaml")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err == (
        'job.yaml: spec.runPolicy.backoffLimit: conflict with "argocd-controller"\n'
        "Somebody else has set these fields to something else. Take them out of the file, set them to what is there, "
        "or take them over with --force-conflicts.\n"
    )
    assert written.get()["spec"]["runPolicy"] == {"backoffLimit": 7}

    assert paft("submit", "job.yaml", "--force-conflicts").code == 0
    assert written.get()["spec"]["runPolicy"] == {"backoffLimit": 1}


def test_a_failed_job_that_is_submitted_again_names_the_retry(
    paft: CommandLine, job_file: Path, written: WrittenJobs
) -> None:
    assert paft("submit", "job.yaml").code == 0
    written.write(failed())

    assert paft("submit", "job.yaml").out.endswith("unchanged\nIt has failed. To try again:\n  paft retry tiny\n")


@pytest.mark.parametrize("in_file", [False, True])
def test_the_namespace_is_that_of_the_option_or_the_file(
    paft: CommandLine, job_file: Path, written: WrittenJobs, in_file: bool
) -> None:
    other = "default"
    if in_file:
        document = minimal_job()
        document["metadata"]["namespace"] = other
        job_file.write_text(yaml.safe_dump(document), encoding="utf-8")

    ended = paft("submit", "job.yaml", "--dry-run", *([] if in_file else ["-n", other]))

    assert (ended.code, ended.out.split()[1]) == (0, "default/tiny")
    if in_file:
        ended = paft("submit", "job.yaml", "-n", written.namespace)
        assert ended.code == 2
        assert "metadata.namespace: default is not the namespace" in ended.err


def test_a_namespace_that_does_not_exist_is_told(paft: CommandLine, job_file: Path) -> None:
    ended = paft("submit", "job.yaml", "-n", "nowhere")

    assert (ended.code, ended.err) == (2, 'namespaces "nowhere" not found: create it, or name another with -n\n')
