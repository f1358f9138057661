"""Places where life cycles are lived one after the other: a namespace, operators behind fault proxies, and pods."""

import itertools
import json
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from hack.control_plane import ControlPlane
from hack.control_plane.client import NAMESPACE, POD, SERVICE_ACCOUNT, KubernetesClient, Object
from tests.kubelet_stand_in import KubeletStandIn
from tests.paft_operator.cluster_jobs import CHILDREN, PAFT_JOB, ClusterJobs
from tests.paft_operator.faults.interference import Interference
from tests.paft_operator.faults.leadership import Election
from tests.paft_operator.faults.life_cycle import LifeCycle, Pace, Pods, Stuck
from tests.paft_operator.faults.outcomes import (
    Outcome,
    backwards_of,
    changes_of,
    child_of,
    final_of,
    milestones_of,
    without_names,
)
from tests.paft_operator.faults.proxy import FaultProxy, Traffic
from tests.paft_operator.faults.recorder import Recorder
from tests.paft_operator.operator_processes import OperatorProcess

SETTLE_SECONDS = 0.4
"""Time after the end in which nothing more may happen."""
STUCK_SECONDS = 240.0
"""Time after which a life cycle is taken for stuck; a few seconds are usual, but a busy machine is slow."""
_numbers = itertools.count(1)


class Lane:
    """One such place. `operators`: one per proxy, and each has its own; where several stand for election, one that has
    lost it ends and is started again, as in a cluster.

    `is_spoiled`: a life cycle got stuck here, and its pods still play. `traffic`: of the last life cycle.
    """

    def __init__(self, client: KubernetesClient, namespace: str, recorder: Recorder, pods: Pods) -> None:
        self.client = client
        self.namespace = namespace
        self.recorder = recorder
        self.proxies: list[FaultProxy] = []
        self.operators: list[OperatorProcess] = []
        self.log_files: list[Path] = []
        self._pods = pods
        self._jobs = ClusterJobs(client, namespace)
        self.is_spoiled = False
        self.traffic = Traffic()
        self.election = Election(client, namespace)

    def live(self, interference: Interference, *, pace: Pace = Pace.PATIENT) -> Outcome:
        """Live one life cycle; the faults happen between all operators and the API server."""
        job = f"life-{next(_numbers):05}"
        self.traffic = Traffic(job)
        self._pods.pace = pace
        faults = self._bring_back()
        for proxy in self.proxies:
            proxy.begin(self.traffic, interference)
        try:
            life_cycle = LifeCycle(self._jobs, self.recorder, job, seconds=STUCK_SECONDS, meanwhile=self._restart)
            life_cycle.live()
            time.sleep(SETTLE_SECONDS)
        except Stuck as stuck:
            self.is_spoiled = True
            faults.append(str(stuck))
        for proxy in self.proxies:
            proxy.be_honest()
        outcome = self._outcome(job, [*faults, *self._own_faults(job)])
        if not self.is_spoiled:
            self._jobs.delete(job)
        return outcome

    def _bring_back(self) -> list[str]:
        """Let all operators be there; one that has ended by itself is told of."""
        ended = [code for operator in self.operators if (code := operator.process.poll()) is not None]
        for operator in self.operators:
            _make_ready(operator)
        return [f"the operator had ended with exit code {code}" for code in ended] if len(self.operators) == 1 else []

    def _restart(self) -> None:
        """What a Deployment does, where several operators stand for election."""
        for operator in self.operators:
            if len(self.operators) > 1 and operator.process.poll() is not None:
                operator.start()

    def _outcome(self, job: str, faults: list[str]) -> Outcome:
        paft_job = self._jobs.get(job)
        names = {"job": job, "namespace": self.namespace, "uid": paft_job["metadata"]["uid"]}
        statuses = [without_names(status, **names) for status in self.recorder.statuses(job)]
        told = Counter(reason for _, reason, _ in self._jobs.events(job))
        return Outcome(
            created_jobs=without_names(self.recorder.created_jobs(job), **names),
            pods=dict(self._pods.played[job]),
            children=without_names(self._children(job), **names),
            changes=changes_of(statuses),
            milestones=milestones_of(statuses),
            final=final_of(statuses[-1]) if statuses else {},
            events=dict(told),
            backwards=backwards_of(statuses),
            faults=faults,
        )

    def _children(self, job: str) -> dict[str, Object]:
        selector = f"paft.dev/job-name={job}"
        return {
            f"{kind.kind} {found['metadata']['name']}": child_of(found | {"kind": kind.kind})
            for kind in CHILDREN
            for found in self.client.list(kind, self.namespace, labels=selector)
        }

    def _own_faults(self, job: str) -> list[str]:
        """What operators log of errors that they did not foresee, those included that were killed since."""
        lines = [
            json.loads(text)
            for file in self.log_files
            for text in file.read_text(encoding="utf-8").splitlines()
            if text.startswith("{") and f'"{job}"' in text and '"error":' in text
        ]
        return [f"the operator has a fault: {line['message']}: {line['error']}" for line in lines]


def _make_ready(operator: OperatorProcess, seconds: float = 60.0) -> None:
    """Start it where it has ended; whoever lost an election may end once more."""
    deadline = time.monotonic() + seconds
    while True:
        if operator.process.poll() is not None:
            operator.start()
        try:
            operator.wait_until_ready()
        except TimeoutError:
            if time.monotonic() > deadline:
                raise
        else:
            return


@contextmanager
def lane(
    control_plane: ControlPlane, directory: Path, *, operators: int = 1, settings: Mapping[str, object]
) -> Iterator[Lane]:
    """A lane with operators at work; the namespace goes away by itself afterwards."""
    with ExitStack() as stack:
        client = stack.enter_context(KubernetesClient(control_plane.kubeconfig))
        namespace = stack.enter_context(_namespace(client))
        recorder = stack.enter_context(Recorder(client, namespace))
        pods = Pods(recorder)
        kubelet = stack.enter_context(KubeletStandIn(client, namespace=namespace))
        kubelet.play(pods.script)
        made = Lane(client, namespace, recorder, pods)
        for number in range(operators):
            folder = directory / f"{namespace}-proxy-{number}"
            proxy = stack.enter_context(FaultProxy(control_plane.kubeconfig, folder, origin=number))
            made.proxies.append(proxy)
            log_file = directory / f"{namespace}-operator-{number}.log"
            made.log_files.append(log_file)
            own = {"identity": f"operator-{number}", **settings}
            operator = OperatorProcess(proxy.kubeconfig, namespaces=[namespace], log_file=log_file, **own)
            made.operators.append(stack.enter_context(operator))
        for operator in made.operators:
            _make_ready(operator)
        yield made


@contextmanager
def _namespace(client: KubernetesClient) -> Iterator[str]:
    name = f"faults-{uuid.uuid4().hex[:12]}"
    client.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    client.wait_for(SERVICE_ACCOUNT, "default", name, bool)
    yield name
    _delete_pods(client, name)
    client.delete(NAMESPACE, name)


def _delete_pods(client: KubernetesClient, namespace: str) -> None:
    for job in client.list(PAFT_JOB, namespace):
        client.delete(PAFT_JOB, job["metadata"]["name"], namespace)
    for pod in client.list(POD, namespace):
        client.delete(POD, pod["metadata"]["name"], namespace, grace_seconds=0)
