"""Further scripts for the kubelet stand-in: ends of a stage that its launcher does not choose, and unusual reports."""

import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress

from hack.control_plane.client import CONFIG_MAP, KubernetesClient
from pydantic import ValidationError
from tests.paft_operator.played_stages import STEPS, report, result
from tests.played_pods import PlayedPod, PodTerminated, Script, Steps
from tests.pod_statuses import ContainerEnd

from paft_api.causes import CAUSE_FACTS, EXIT_STOPPED, Cause
from paft_api.digests import digest_of
from paft_api.report import FinishedArtifact, ReportState, StageReport
from paft_api.run_spec import TerminationMessage
from paft_api.stage_pods import REPORT_KEY

Act = Callable[[PlayedPod], None]


def acting(act: Act, *, step: int | None = None, seconds: float = 0.0) -> Script:
    """Run, report a step if one is given, then let something happen to the pod."""

    def script(pod: PlayedPod) -> Steps:
        pod.schedule()
        pod.start()
        if step is not None:
            pod.write_report(report(pod.run_spec, step=step))
        yield seconds
        act(pod)

    return script


def by_index(*scripts: Script) -> Script:
    """Pods of an arm, each by the script of its index."""
    return lambda pod: scripts[pod.completion_index](pod)


def after(gate: threading.Event, script: Script) -> Script:
    """Pending until the gate is open."""

    def waiting(pod: PlayedPod) -> Steps:
        while not gate.is_set():
            yield 0.05
        yield from script(pod)

    return waiting


def exiting(exit_code: int, *, message: str = "", reason: str = "", seconds: float = 0.0) -> Script:
    """Run, then exit, with a termination message or none."""
    end = ContainerEnd(exit_code=exit_code, message=message, reason=reason)
    return acting(lambda pod: pod.end(end), seconds=seconds)


def leaving_message(cause: Cause, *, seconds: float = 0.0) -> Script:
    """Fail as a launcher that could write its termination message, and not its report."""
    facts = CAUSE_FACTS[cause]
    told = TerminationMessage(cause=cause, message=f"{cause} it was", remedy=facts.remedy, exit_code=facts.exit_code)
    return exiting(facts.exit_code, message=told.to_json(), seconds=seconds)


def writing(text: str) -> Script:
    """Write any text as the report, then run until it is deleted."""

    def script(pod: PlayedPod) -> Steps:
        pod.schedule()
        pod.start()
        pod.write_report_text(text)
        yield from ()

    return script


def without_result(pod: PlayedPod) -> Steps:
    """Exit with 0, having reported no more than progress."""
    pod.schedule()
    pod.start()
    pod.write_report(report(pod.run_spec, step=STEPS))
    yield 0.0
    pod.succeed()


def preparing(client: KubernetesClient) -> Script:
    """Prepare that finds which arms are finished already, by the reports of this PaftJob's attempts."""

    def script(pod: PlayedPod) -> Steps:
        pod.schedule()
        pod.start()
        told = result(pod.run_spec)
        yield 0.0
        selector = f"paft.dev/job-name={pod.labels['paft.dev/job-name']}"
        texts = [
            one["data"][REPORT_KEY]
            for one in client.list(CONFIG_MAP, pod.namespace, labels=selector)
            if REPORT_KEY in (one.get("data") or {})
        ]
        pod.write_report(_with_finished(told, _artifacts_in(texts)))
        pod.succeed()

    return script


def finding(*arms: str) -> Script:
    """Prepare that finds these arms finished, by another PaftJob."""

    def script(pod: PlayedPod) -> Steps:
        pod.schedule()
        pod.start()
        told = result(pod.run_spec)
        yield 0.0
        uris = [f"s3://paft/{arm}/{_digest_of(told, arm).removeprefix('sha256:')}/" for arm in arms]
        pod.write_report(_with_finished(told, [FinishedArtifact(uri=uri, digest=digest_of([uri])) for uri in uris]))
        pod.succeed()

    return script


def _artifacts_in(texts: Iterable[str]) -> list[FinishedArtifact]:
    found = []
    for text in texts:
        with suppress(ValidationError):
            told = StageReport.model_validate_json(text)
            found += [told.adapter.artifact] if told.adapter is not None else []
    return found


def _with_finished(told: StageReport, artifacts: Sequence[FinishedArtifact]) -> StageReport:
    """An artifact's folder is named after its arm's stage digest."""
    assert told.prepare is not None
    arms = {}
    for arm in ("sft", "preference"):
        folder = _digest_of(told, arm).removeprefix("sha256:")
        artifact = next((one for one in artifacts if one.uri.endswith(f"/{folder}/")), None)
        arms[arm] = getattr(told.prepare, arm).model_copy(update={"finished": artifact})
    return told.model_copy(update={"prepare": told.prepare.model_copy(update=arms)})


def _digest_of(told: StageReport, arm: str) -> str:
    assert told.prepare is not None
    return str(getattr(told.prepare, arm).stage_digest)


def held(gate: threading.Event) -> Script:
    """Run until the gate is open, then report the result and exit with 0; on SIGTERM save and exit with 143."""

    def script(pod: PlayedPod) -> Steps:
        pod.schedule()
        pod.start()
        run_spec = pod.run_spec
        pod.write_report(report(run_spec, step=STEPS // 2))
        try:
            while not gate.is_set():
                yield 0.2
        except PodTerminated:
            pod.write_report(report(run_spec, ReportState.STOPPED, step=STEPS // 2))
            pod.fail(EXIT_STOPPED)
            return
        pod.write_report(result(run_spec))
        pod.succeed()

    return script
