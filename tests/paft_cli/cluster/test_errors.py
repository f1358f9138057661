"""What goes wrong between a person and a cluster is told in words, with the remedy."""

import json
import socket
from pathlib import Path

import pytest
import yaml
from hack.control_plane import ControlPlane
from hack.control_plane.client import CUSTOM_RESOURCE_DEFINITION, KubernetesClient
from kubernetes.client.exceptions import ApiException
from tests.paft_cli.cluster.command_line import CommandLine, changed_kubeconfig
from tests.paft_cli.cluster.written_jobs import WrittenJobs
from tests.paft_cli.workplace import wait_until
from tests.paft_operator.cluster_jobs import PAFT_JOB
from tests.paft_operator.definition import CRD

from paft_cli.errors import CommandError
from paft_cli.job_document import read_job_document


def by(paft: CommandLine, kubeconfig: Path) -> CommandLine:
    return CommandLine(monkeypatch=paft.monkeypatch, capture=paft.capture, kubeconfig=kubeconfig)


def test_no_kubeconfig(paft: CommandLine) -> None:
    missing = paft.kubeconfig.with_name("missing")

    ended = by(paft, missing)("status", "tiny")

    assert (ended.code, ended.out) == (2, "")
    assert ended.err == (
        f"no cluster is known: there is no kubeconfig {missing}; set KUBECONFIG to one, or name a file "
        "(such as job.yaml or ./job) for a job on this machine\n"
    )


@pytest.mark.parametrize("text", ["{not: [yaml", "clusters: []\ncontexts: []\n", "just text\n"])
def test_a_kubeconfig_that_is_none(paft: CommandLine, text: str) -> None:
    file = paft.kubeconfig.with_name("broken")
    file.write_text(text, encoding="utf-8")

    ended = by(paft, file)("status", "tiny")

    assert ended.code == 2
    assert f"the kubeconfig {file} " in ended.err


def test_no_such_context(paft: CommandLine) -> None:
    ended = paft("status", "tiny", "--context", "production")

    assert (ended.code, ended.err) == (
        2,
        f"the kubeconfig {paft.kubeconfig} has no context production; there are: paft\n",
    )


def test_no_current_context(paft: CommandLine, written: WrittenJobs) -> None:
    document = yaml.safe_load(paft.kubeconfig.read_text(encoding="utf-8"))
    del document["current-context"]
    paft.kubeconfig.write_text(yaml.safe_dump(document), encoding="utf-8")
    written.create()

    assert "has no current context: name one with --context; there are: paft" in paft("status", "tiny").err
    assert paft("status", "tiny", "--context", "paft").code == 0


def test_nobody_answers(paft: CommandLine, tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        server = f"https://127.0.0.1:{unused.getsockname()[1]}"
        kubeconfig = changed_kubeconfig(paft.kubeconfig, tmp_path / "unreachable", server=server)
        for command in ("status", "watch"):
            ended = by(paft, kubeconfig)(command, "tiny")
            assert ended.code == 2
            assert ended.err.startswith(f"the API server {server} of context paft does not answer: ")
            assert "Connection refused" in ended.err


def test_a_certificate_of_somebody_else(paft: CommandLine, tmp_path: Path) -> None:
    document = yaml.safe_load(paft.kubeconfig.read_text(encoding="utf-8"))
    del document["clusters"][0]["cluster"]["certificate-authority-data"]
    untrusting = tmp_path / "untrusting"
    untrusting.write_text(yaml.safe_dump(document), encoding="utf-8")

    ended = by(paft, untrusting)("status", "tiny")

    assert ended.code == 2
    assert "certificate verify failed" in ended.err


@pytest.mark.parametrize("user", [{"token": "expired"}, {}])
def test_the_credentials_are_not_accepted(paft: CommandLine, tmp_path: Path, user: dict[str, object]) -> None:
    ended = by(paft, _as_user(paft, tmp_path, user))("status", "tiny")

    assert ended.code == 2
    assert "does not accept the credentials of context paft" in ended.err
    assert "log in to the cluster again" in ended.err


def test_credentials_come_from_a_program_where_the_kubeconfig_says_so(
    paft: CommandLine, tmp_path: Path, control_plane: ControlPlane, written: WrittenJobs
) -> None:
    account = control_plane.service_account_kubeconfig(written.namespace, "default")
    token = yaml.safe_load(account.read_text(encoding="utf-8"))["users"][0]["user"]["token"]
    version = "client.authentication.k8s.io/v1"
    answer = tmp_path / "answer.json"
    answer.write_text(json.dumps({"apiVersion": version, "kind": "ExecCredential", "status": {"token": token}}))
    program = {"apiVersion": version, "command": "cat", "args": [str(answer)], "interactiveMode": "Never"}

    ended = by(paft, _as_user(paft, tmp_path, {"exec": program}))("status", "tiny")

    assert ended.code == 2
    assert f'User "system:serviceaccount:{written.namespace}:default" cannot get' in ended.err


def _as_user(paft: CommandLine, tmp_path: Path, user: dict[str, object]) -> Path:
    document = yaml.safe_load(paft.kubeconfig.read_text(encoding="utf-8"))
    document["users"][0]["user"] = user
    kubeconfig = tmp_path / "as-user"
    kubeconfig.write_text(yaml.safe_dump(document), encoding="utf-8")
    return kubeconfig


def test_no_rights(paft: CommandLine, control_plane: ControlPlane, written: WrittenJobs, job_file: Path) -> None:
    kubeconfig = control_plane.user_kubeconfig("without-rights")
    for arguments in (["status", "tiny"], ["watch", "tiny"], ["submit", "job.yaml"], ["retry", "tiny"]):
        ended = by(paft, kubeconfig)(*arguments, "-n", written.namespace)
        assert ended.code == 2
        assert 'User "without-rights" cannot' in ended.err
        assert f"role view (to look) or edit (to submit and change) in namespace {written.namespace}" in ended.err


@pytest.mark.slow
def test_a_cluster_without_paft_jobs(paft: CommandLine, job_file: Path, kubernetes: KubernetesClient) -> None:
    manifest = yaml.safe_load(CRD.read_text(encoding="utf-8"))
    name = manifest["metadata"]["name"]
    kubernetes.delete(CUSTOM_RESOURCE_DEFINITION, name)
    try:
        wait_until(lambda: kubernetes.find(CUSTOM_RESOURCE_DEFINITION, name) is None, seconds=60)
        wait_until(lambda: "404" in _answer(kubernetes), seconds=60)
        for arguments in (["status", "tiny"], ["watch", "tiny"], ["submit", "job.yaml"]):
            ended = paft(*arguments)
            assert ended.code == 2
            assert "knows no PaftJobs: their CustomResourceDefinition is not installed; install the" in ended.err
    finally:
        kubernetes.apply(manifest)
        wait_until(lambda: _answer(kubernetes) == "served", seconds=60)


def _answer(kubernetes: KubernetesClient) -> str:
    try:
        kubernetes.list(PAFT_JOB)
    except ApiException as error:
        return str(error.status)
    return "served"


def test_a_name_that_is_not_there(paft: CommandLine, written: WrittenJobs) -> None:
    beginning = f"there is no PaftJob mistral-7b in namespace {written.namespace} (context paft)"

    assert paft("status", "mistral-7b").err == f"{beginning}\n"
    written.create(name="llama")
    assert paft("status", "mistral-7b").err == f"{beginning}; there are: llama\n"
    written.create(name="mistral-7b-2")
    assert paft("watch", "mistral-7b").err == f"{beginning}; did you mean mistral-7b-2?\n"
    assert paft("retry", "mistral-7b").err == f"{beginning}; did you mean mistral-7b-2?\n"


def test_a_name_that_is_in_another_namespace(
    paft: CommandLine, written: WrittenJobs, kubernetes: KubernetesClient
) -> None:
    written.create(name="only-here")

    ended = paft("status", "only-here", "-n", "default")

    assert ended.err == (
        "there is no PaftJob only-here in namespace default (context paft); there is one in namespace "
        f"{written.namespace}: name the namespace with -n\n"
    )


def test_a_namespace_that_does_not_exist(paft: CommandLine) -> None:
    ended = paft("status", "never-there", "-n", "nowhere")

    assert ended.err.endswith("; the namespace nowhere does not exist: name another with -n\n")


def test_a_file_that_looks_like_a_name(paft: CommandLine) -> None:
    Path("job").write_text("", encoding="utf-8")

    assert paft("status", "job").err.endswith(". For the file of that name write ./job\n")


@pytest.mark.parametrize("option", ["--namespace", "--context"])
def test_a_path_has_no_namespace(paft: CommandLine, option: str) -> None:
    ended = paft("status", "job.yaml", option, "some")

    assert ended.code == 2
    assert "but job.yaml is a path, which means a job on this machine; give the PaftJob's name" in ended.err


def test_a_status_from_another_version() -> None:
    document = {"metadata": {"name": "tiny"}, "spec": {}, "status": {"phase": "Dreaming"}}

    with pytest.raises(CommandError, match="the status of PaftJob tiny cannot be read by this version of paft"):
        read_job_document(document)
