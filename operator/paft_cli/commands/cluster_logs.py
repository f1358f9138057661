"""`paft logs STAGE NAME`."""

import sys
import time

from paft_api.stages import StageName
from paft_cli.cluster.paft_jobs import PaftJobs
from paft_cli.cluster.pod_logs import PodLogs
from paft_cli.cluster.stage_pods import LogPod, NotYet, choose_pod
from paft_cli.errors import CommandError
from paft_cli.targets import ClusterTarget

_LOOK_SECONDS = 2.0


def show_cluster_logs(
    stage: StageName, target: ClusterTarget, *, attempt: int | None, index: int, follow: bool
) -> None:
    """Print the log of one pod; with `follow` wait for it to start, and go on until it has ended."""
    jobs = PaftJobs.of(target.options)
    pod_logs = PodLogs(jobs.server)
    told = ""
    while True:
        job = jobs.get(target.name)
        chosen = choose_pod(job, stage, pod_logs.pods(job.name, stage), attempt=attempt, index=index)
        if isinstance(chosen, LogPod):
            break
        told = _wait(chosen, told, follow=follow)
    for chunk in pod_logs.log(chosen, follow=follow):
        sys.stdout.buffer.write(chunk)
        sys.stdout.flush()


def _wait(not_yet: NotYet, told: str, *, follow: bool) -> str:
    """Tell each reason once; what was told last."""
    if not follow:
        raise CommandError(f"{not_yet.why}; --follow waits for it")
    if not_yet.why != told:
        print(f"{not_yet.why}; waiting", file=sys.stderr)
    time.sleep(_LOOK_SECONDS)
    return not_yet.why
