"""The one history that all runs with faults live through.

Prepare; then both arms. The SFT arm runs out of memory once and is retried; its second attempt runs until the PaftJob
is suspended, with the preference arm done. After the PaftJob is resumed, prepare looks what there is already, as for
every spec that has changed, and finds the preference adapter; the third SFT attempt finishes; then the merge.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from enum import StrEnum

from hack.control_plane.client import Object
from tests.paft_operator.cluster_jobs import ClusterJobs, minimal_job
from tests.paft_operator.faults.recorder import Recorder
from tests.paft_operator.played_stages import failing_stage, report, result
from tests.played_pods import PlayedPod, PodTerminated, Steps

from paft_api import labels
from paft_api.causes import EXIT_STOPPED, Cause
from paft_api.report import FinishedArtifact, ReportState, StageReport
from paft_api.run_spec import RunSpec
from paft_api.stages import ARMS

POLL_SECONDS = 0.03
ATTEMPTS = ("merge-1", "preference-1", "prepare-1", "prepare-2", "sft-1", "sft-2", "sft-3")
"""All attempts of the history."""


class Pace(StrEnum):
    """How pods behave.

    Patient ones wait until status says that they run, so that the operator has to tell of every step. Hurried ones do
    not: while the operator is away or misled, the world goes on, and status may pass over what is over already.
    """

    PATIENT = "patient"
    HURRIED = "hurried"


MAY_SKIP = {
    # A pause may end while the operator is away.
    Pace.PATIENT: ("WaitingToRetry", "Waiting", "Progressing"),
    Pace.HURRIED: (
        *("WaitingToRetry", "Waiting", "Progressing", "Pending", "Running"),
        *("Validating", "Training", "Merging"),
    ),
}
"""Reasons, states and phases that status may pass over. What is final, suspension and counted failures never are."""


class Pods:
    """Plays all pods of the history. `played`: how many pods each attempt of each PaftJob had."""

    def __init__(self, recorder: Recorder) -> None:
        self.pace = Pace.PATIENT
        self.played: defaultdict[str, defaultdict[str, int]] = defaultdict(lambda: defaultdict(int))
        self._recorder = recorder
        self._artifacts: dict[tuple[str, str], FinishedArtifact] = {}

    def script(self, pod: PlayedPod) -> Steps:
        """Play one pod."""
        job, stage, attempt = (pod.labels[label] for label in (labels.JOB_NAME, labels.STAGE, labels.ATTEMPT))
        self.played[job][f"{stage}-{attempt}"] += 1
        if self.pace is Pace.PATIENT:
            yield from _until(lambda: self._recorder.says_running(job, stage, int(attempt)))
        match stage, attempt:
            case "sft", "1":
                yield from failing_stage(Cause.HOST_OOM, step=4)(pod)
            case "sft", "2":
                yield from self._train(pod, job)
            case _:
                yield from self._finish(pod, job, stage)

    def _finish(self, pod: PlayedPod, job: str, stage: str) -> Steps:
        pod.schedule()
        pod.start()
        if stage == "preference" and self.pace is Pace.PATIENT:
            # One arm after the other, so that there is one order of all transitions.
            yield from _until(lambda: self._recorder.says_running(job, "sft", 2))
        pod.write_report(self._result(pod.run_spec, job))
        pod.succeed()

    def _train(self, pod: PlayedPod, job: str) -> Steps:
        """Until the pod is asked to stop; then save."""
        pod.schedule()
        pod.start()
        run_spec = pod.run_spec
        try:
            pod.write_report(report(run_spec, step=4))
            while True:
                yield 60.0
        except PodTerminated:
            if self.pace is Pace.PATIENT:
                yield from _until(lambda: self._recorder.phase(job) == "Suspended")
            pod.write_report(report(run_spec, ReportState.STOPPED, step=4))
            pod.fail(EXIT_STOPPED)

    def _result(self, run_spec: RunSpec, job: str) -> StageReport:
        """With an object store's memory: prepare finds what arms have finished before."""
        told = result(run_spec)
        if told.adapter is not None:
            self._artifacts[job, run_spec.identity.stage] = told.adapter.artifact
        if told.prepare is None:
            return told
        found = {
            arm: getattr(told.prepare, arm).model_copy(update={"finished": self._artifacts.get((job, arm))})
            for arm in ARMS
        }
        return told.model_copy(update={"prepare": told.prepare.model_copy(update=found)})


def manifest(name: str) -> Object:
    """The PaftJob. Its storage is the same for all, so that digests are."""
    made = minimal_job(name)
    made["spec"]["storage"]["artifactsUri"] = "s3://paft/life-cycles/"
    return made


def _until(is_so: Callable[[], bool]) -> Iterator[float]:
    while not is_so():
        yield POLL_SECONDS


class LifeCycle:
    """One PaftJob on its way. Raises Stuck where it does not go on. `meanwhile` is called now and then."""

    def __init__(
        self, jobs: ClusterJobs, recorder: Recorder, name: str, *, seconds: float, meanwhile: Callable[[], None]
    ) -> None:
        self._jobs = jobs
        self._recorder = recorder
        self._name = name
        self._meanwhile = meanwhile
        self._deadline = time.monotonic() + seconds

    def live(self) -> None:
        """Apply the PaftJob, suspend it, resume it, and wait until it has succeeded."""
        self._jobs.create(manifest(self._name))
        self._wait("its second SFT attempt to train, and the preference arm to be done", self._may_be_suspended)
        self._jobs.change({"spec": {"runPolicy": {"suspend": True}}}, self._name)
        self._wait("SFT to be stopped", lambda: self._recorder.stage(self._name, "sft")["state"] != "Running")
        self._jobs.change({"spec": {"runPolicy": {"suspend": False}}}, self._name)
        self._wait("success", lambda: self._recorder.phase(self._name) == "Succeeded")

    def _may_be_suspended(self) -> bool:
        sft = self._recorder.stage(self._name, "sft")
        preference = self._recorder.stage(self._name, "preference")
        return (sft.get("attempt"), sft.get("step"), preference.get("state")) == (2, 4, "Succeeded")

    def _wait(self, what: str, is_so: Callable[[], bool]) -> None:
        while not is_so():
            if time.monotonic() > self._deadline:
                raise Stuck(
                    f"{self._name} waits in vain for {what}; it says {self._recorder.statuses(self._name)[-1:]}"
                )
            self._meanwhile()
            time.sleep(POLL_SECONDS)


class Stuck(Exception):
    """The PaftJob does not go on."""
