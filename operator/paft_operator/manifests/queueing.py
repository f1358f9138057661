"""What Kueue asks of whoever creates what it queues: https://kueue.sigs.k8s.io/docs/tasks/run/jobs/.

The operator never changes `suspend` afterwards: it is Kueue's, as is where the pods are placed.
"""

from paft_api.spec import PaftJob
from paft_operator.manifests.settings import Manifest

QUEUE_NAME = "kueue.x-k8s.io/queue-name"
"""Label that names a LocalQueue."""


def queue_labels(job: PaftJob) -> dict[str, str]:
    """Of a Job or a JobSet that waits in a queue."""
    queue = job.spec.scheduling.queue_name
    return {} if queue is None else {QUEUE_NAME: queue}


def held_back(job: PaftJob) -> Manifest:
    """Part of its spec: no pod is created before the queue says so, whether or not Kueue's webhook sees to that."""
    return {} if job.spec.scheduling.queue_name is None else {"suspend": True}
