"""The headless Service by which the pods of an arm find one another."""

from paft_api.labels import JOB_NAME, JOB_UID, STAGE
from paft_api.spec import PaftJob
from paft_api.stage_pods import MASTER_PORT
from paft_api.stages import StageName
from paft_operator.manifests.metadata import stage_metadata
from paft_operator.manifests.names import service_name
from paft_operator.manifests.settings import Manifest


def arm_service(job: PaftJob, stage: StageName) -> Manifest:
    """Gives each pod of an arm a DNS name before it is ready, as ranks wait for one another to become so."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": stage_metadata(job, stage, service_name(job.metadata.name, stage)),
        "spec": {
            "clusterIP": "None",
            "publishNotReadyAddresses": True,
            "selector": {JOB_NAME: job.metadata.name, JOB_UID: job.metadata.uid, STAGE: str(stage)},
            "ports": [{"name": "rendezvous", "port": MASTER_PORT, "protocol": "TCP", "targetPort": MASTER_PORT}],
        },
    }
