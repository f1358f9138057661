"""Pods of a stage and their logs."""

from collections.abc import Iterator

from paft_api.labels import JOB_NAME, STAGE
from paft_api.stage_pods import CONTAINER
from paft_api.stages import StageName
from paft_cli.cluster.api_server import ApiServer, RequestRefused
from paft_cli.cluster.stage_pods import LogPod, Pod
from paft_cli.errors import CommandError
from paft_operator.cluster.resources import PODS

_SILENCE_SECONDS = 60.0


class PodLogs:
    """Reads them in one namespace. Everything raises CommandError, in words."""

    def __init__(self, server: ApiServer) -> None:
        self._server = server

    def pods(self, job_name: str, stage: StageName) -> list[Pod]:
        """Of all attempts of a stage, and of earlier PaftJobs of this name."""
        path = PODS.path(self._server.connection.namespace)
        listed = self._server.get(path, {"labelSelector": f"{JOB_NAME}={job_name},{STAGE}={stage}"})
        return list(listed["items"] or ())

    def log(self, pod: LogPod, *, follow: bool) -> Iterator[bytes]:
        """As the kubelet has it; with `follow` until the container has ended."""
        path = PODS.path(self._server.connection.namespace, pod.name, "log")
        query = {"container": CONTAINER} | ({"follow": "true"} if follow else {})
        try:
            yield from self._server.stream(path, query, read_seconds=None if follow else _SILENCE_SECONDS)
        except RequestRefused as error:
            raise _explained(error, pod) from error


def _explained(error: RequestRefused, pod: LogPod) -> CommandError:
    if error.status == 404:
        return CommandError(f"pod {pod.name} is gone, and its log with it: {error.said}")
    if error.status == 403:
        return error
    return CommandError(
        f"the log of pod {pod.name} cannot be had from node {pod.node}: {error.said}; "
        "logs are on the node, so see whether it is ready: "
        f"kubectl get node {pod.node}"
    )
