"""A namespace with PaftJobs, and a `paft` whose current context means it."""

from pathlib import Path

import pytest
import yaml
from hack.control_plane import ControlPlane
from hack.control_plane.client import KubernetesClient, Object
from tests.paft_cli.cluster.command_line import CommandLine, changed_kubeconfig
from tests.paft_cli.cluster.written_jobs import WrittenJobs
from tests.paft_operator.cluster_jobs import minimal_job
from tests.paft_operator.conftest import definition, jobs, operator

__all__ = ["definition", "jobs", "operator"]


@pytest.fixture
def paft(
    control_plane: ControlPlane,
    definition: Object,
    namespace: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> CommandLine:
    """The administrator's command line, in an empty current directory."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.delenv("PAFT_HOME", raising=False)
    kubeconfig = changed_kubeconfig(control_plane.kubeconfig, tmp_path / "kubeconfig", namespace=namespace)
    return CommandLine(monkeypatch=monkeypatch, capture=capfd, kubeconfig=kubeconfig)


@pytest.fixture
def written(kubernetes: KubernetesClient, namespace: str, definition: Object) -> WrittenJobs:
    """PaftJobs whose status is written by the test."""
    return WrittenJobs(kubernetes, namespace)


@pytest.fixture
def job_file(paft: CommandLine) -> Path:
    """A valid job.yaml in the current directory."""
    file = Path("job.yaml")
    file.write_text(yaml.safe_dump(minimal_job()), encoding="utf-8")
    return file
