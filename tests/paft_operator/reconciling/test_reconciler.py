"""What a reconciler does whose watches are behind, against a real API server."""

import asyncio
from pathlib import Path

import pytest
from hack.control_plane import ControlPlane
from hack.control_plane.client import JOB, KubernetesClient, Object
from tests.paft_operator.cluster_jobs import ClusterJobs, minimal_job

from paft_api.stages import StageName
from paft_operator.cluster.api_client import ApiClient
from paft_operator.cluster.cluster_host import ClusterHost
from paft_operator.cluster.connection import Connection
from paft_operator.cluster.errors import Outdated
from paft_operator.cluster.event_recorder import EventRecorder
from paft_operator.cluster.index import Index
from paft_operator.cluster.live_objects import LiveObjects
from paft_operator.cluster.resources import CONFIG_MAPS, JOBS
from paft_operator.manifests.attempt_objects import attempt_objects
from paft_operator.manifests.settings import ManifestSettings
from paft_operator.observing.parsing import paft_job_record
from paft_operator.observing.records import JobKey
from paft_operator.planner.actions import StartAttempt
from paft_operator.reconciling.job_documents import read_job
from paft_operator.reconciling.reconciler import Reconciler
from paft_operator.reconciling.status_writer import StatusWriter
from paft_operator.serving.metrics import Metrics

pytestmark = pytest.mark.slow

SETTINGS = ManifestSettings(trainer_image="trainer")


@pytest.fixture(autouse=True)
def kubeconfig(control_plane: ControlPlane, definition: Object, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Credentials of this process."""
    monkeypatch.setenv("KUBECONFIG", str(control_plane.kubeconfig))
    return control_plane.kubeconfig


def test_an_attempt_of_a_newer_spec_is_not_stopped_for_an_older_one(
    jobs: ClusterJobs, kubernetes: KubernetesClient, namespace: str
) -> None:
    suspended = jobs.create(minimal_job(suspend=True))
    resumed = jobs.change({"spec": {"runPolicy": {"suspend": False}}})
    job = read_job(paft_job_record(resumed))
    manifests = attempt_objects(job, StartAttempt(stage=StageName.PREPARE, attempt=1), SETTINGS)
    run_spec, *_, attempt_job = (kubernetes.create(manifest) for manifest in manifests)

    async def scenario() -> None:
        index = Index()
        client = ApiClient(Connection(), timeout_seconds=20)
        live = LiveObjects(client, index)
        reconciler = Reconciler(
            index=index,
            live=live,
            host=ClusterHost(client, live, SETTINGS),
            statuses=StatusWriter(client, live, progress_interval=1.0),
            events=EventRecorder(client, instance="test"),
            metrics=Metrics(version="0", queue_depth=lambda: 0),
            first_retry_seconds=10.0,
        )
        index.put(paft_job_record(suspended))
        live.remember(CONFIG_MAPS, run_spec)
        live.remember(JOBS, attempt_job)
        try:
            with pytest.raises(Outdated):
                await reconciler.reconcile(JobKey(namespace, "tiny"))
        finally:
            await client.close()

    asyncio.run(scenario())
    assert "deletionTimestamp" not in kubernetes.get(JOB, "tiny-prepare-1", namespace)["metadata"]
