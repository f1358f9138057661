"""Complete lists against a real API server: what no watch told is found, what is gone is dropped."""

import asyncio
import json
from pathlib import Path

import pytest
from hack.control_plane import ControlPlane
from hack.control_plane.client import CONFIG_MAP, KubernetesClient, Object
from tests.paft_operator.cluster_jobs import PAFT_JOB, ClusterJobs, minimal_job

from paft_api.spec import PaftJob
from paft_api.stages import StageName
from paft_operator.cluster.api_client import ApiClient
from paft_operator.cluster.connection import Connection
from paft_operator.cluster.index import Index
from paft_operator.cluster.watching import watched
from paft_operator.manifests.run_spec_config_map import run_spec_config_map
from paft_operator.observing.records import JobKey
from paft_operator.planner.actions import StartAttempt
from paft_operator.reconciling.resync import Resync
from paft_operator.reconciling.work_queue import WorkQueue

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def kubeconfig(control_plane: ControlPlane, definition: Object, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Credentials of this process."""
    monkeypatch.setenv("KUBECONFIG", str(control_plane.kubeconfig))
    return control_plane.kubeconfig


def _run_spec(created: Object) -> Object:
    metadata = {name: created["metadata"][name] for name in ("name", "namespace", "uid", "generation")}
    job = PaftJob.model_validate_json(_json(created | {"metadata": metadata}))
    return run_spec_config_map(job, StartAttempt(stage=StageName.PREPARE, attempt=1))


def _json(document: Object) -> str:
    return json.dumps({name: document[name] for name in ("apiVersion", "kind", "metadata", "spec")})


def test_lists_fill_the_index_and_drop_what_is_gone(
    jobs: ClusterJobs, kubernetes: KubernetesClient, namespace: str
) -> None:
    kept, gone = (jobs.create(minimal_job(name)) for name in ("kept", "gone"))
    for created in (kept, gone):
        kubernetes.create(_run_spec(created))

    async def scenario() -> None:
        index, queue = Index(), WorkQueue[JobKey]()
        client = ApiClient(Connection(), timeout_seconds=20)
        resources = watched(has_job_sets=False)
        resync = Resync(client, index, queue, resources=resources, namespaces=[namespace], interval=60)
        try:
            await resync.list_all()
            assert {key.name: _children(index, key) for key in index.job_keys()} == {
                "kept": ["kept-prepare-1"],
                "gone": ["gone-prepare-1"],
            }
            assert {(await queue.get()).name for _ in range(2)} == {"kept", "gone"}

            kubernetes.delete(PAFT_JOB, "gone", namespace)
            kubernetes.delete(CONFIG_MAP, "gone-prepare-1", namespace)
            kubernetes.delete(CONFIG_MAP, "kept-prepare-1", namespace)
            await resync.list_all()
            assert {key.name: _children(index, key) for key in index.job_keys()} == {"kept": []}
        finally:
            await client.close()

    asyncio.run(scenario())


def _children(index: Index, key: JobKey) -> list[str]:
    known = index.known(key)
    assert known is not None
    return sorted(child.name for child in known.children.values())
