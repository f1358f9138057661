"""A launcher that does no arithmetic: it plays a stage by the real contract, quickly and as scripted.

    python stage_player.py STAGE --run-spec FILE

It reads its RunSpec, reports, saves "checkpoints", publishes "adapters" as JSON files under storage.artifactsUri, stops
on SIGTERM and ends with its parent, as the trainer's launcher does. The folder $PLAYER_FOLDER scripts it:

    <stage>.seconds    how long a step takes; default 0.02
    <stage>.save       how long it takes to save on SIGTERM; default 0
    <stage>.fail       the attempts that fail, as "1:HostOOM 2:DataInvalid"
    started            appended to at every start: stage, attempt, step it continues from, process id, $FROM_JOB
    overlaps           appended to where another process still plays the same stage
"""

import ctypes
import json
import os
import signal
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from paft_api.causes import CAUSE_FACTS, EXIT_STOPPED, Cause
from paft_api.digests import digest_of
from paft_api.layout import candidate_folder, stage_folder
from paft_api.report import (
    Activity,
    AdapterResult,
    ArmPreparation,
    Failure,
    Finding,
    FinishedArtifact,
    MergeCandidateResult,
    MergeResult,
    PrepareResult,
    Progress,
    ReportState,
    StageReport,
)
from paft_api.run_spec import RunSpec, TerminationMessage
from paft_api.spec.arm import ArmSpec
from paft_api.spec.merge import MergeCandidate
from paft_api.stages import StageName
from paft_cli.local.attempt_process import start_time_of

STEPS = 8
SAVE_STEPS = 2
_PR_SET_PDEATHSIG = 1


class Stopped(BaseException):
    """SIGTERM arrived."""


class Player:
    """One attempt."""

    def __init__(self, run_spec: RunSpec) -> None:
        self._run_spec = run_spec
        self._stage = run_spec.identity.stage
        self._folder = Path(os.environ["PLAYER_FOLDER"])
        self._progress = Progress()

    def play(self) -> int:
        """Run the stage; returns the exit code."""
        self._note_start()
        try:
            self._fail_as_scripted()
            self._report(ReportState.SUCCEEDED, **self._result())
        except Stopped:
            time.sleep(self._seconds("save", 0.0))
            self._report(ReportState.STOPPED)
            return self._leave(TerminationMessage(exit_code=EXIT_STOPPED, message="stopped"))
        return self._leave(TerminationMessage(exit_code=0))

    def _note_start(self) -> None:
        attempt = self._run_spec.identity.attempt
        _append(
            self._folder / "started",
            f"{self._stage} {attempt} {self._checkpoint_step()} {os.getpid()} {os.environ.get('FROM_JOB', '')}",
        )
        owner = self._folder / f"{self._stage}.pid"
        if owner.exists() and start_time_of(int(owner.read_text(encoding="utf-8"))) is not None:
            _append(self._folder / "overlaps", f"{self._stage} {attempt}")
        owner.write_text(str(os.getpid()), encoding="utf-8")
        print(f"playing {self._stage}, attempt {attempt}")

    def _fail_as_scripted(self) -> None:
        script = self._folder / f"{self._stage}.fail"
        for entry in script.read_text(encoding="utf-8").split() if script.exists() else []:
            attempt, cause_name = entry.split(":")
            if int(attempt) == self._run_spec.identity.attempt:
                self._fail(Cause(cause_name))

    def _fail(self, cause: Cause) -> None:
        findings = ()
        if self._stage is StageName.PREPARE:
            findings = (Finding(cause=cause, field="spec.base.uri", message="it is not there", remedy="Upload it."),)
        failure = Failure(cause=cause, message="as scripted", remedy=CAUSE_FACTS[cause].remedy, findings=findings)
        self._report(ReportState.FAILED, failure=failure)
        code = CAUSE_FACTS[cause].exit_code
        message = TerminationMessage(cause=cause, message="as scripted", remedy=failure.remedy, exit_code=code)
        sys.exit(self._leave(message))

    def _result(self) -> dict[str, object]:
        match self._stage:
            case StageName.PREPARE:
                return {"prepare": self._prepare()}
            case StageName.MERGE:
                return {"merge": self._merge()}
            case _:
                return {"adapter": self._train()}

    def _prepare(self) -> PrepareResult:
        run = self._run_spec.prepare
        assert run is not None
        self._wait()
        return PrepareResult(
            base_digest=digest_of(["base"]),
            sft=self._arm_preparation(StageName.SFT, run.sft),
            preference=self._arm_preparation(StageName.PREFERENCE, run.preference),
        )

    def _arm_preparation(self, stage: StageName, arm: ArmSpec) -> ArmPreparation:
        digest = digest_of([stage, arm.lora.to_document(), arm.training.learning_rate])
        return ArmPreparation(
            data_digest=digest_of(["data"]),
            stage_digest=digest,
            rows=STEPS,
            total_steps=STEPS,
            finished=self._published(stage, digest),
        )

    def _train(self) -> AdapterResult:
        digest = self._run_spec.stage_digest
        assert digest is not None
        checkpoint = self._checkpoint()
        checkpoint.parent.mkdir(parents=True, exist_ok=True)
        first = self._checkpoint_step()
        for step in range(first, STEPS):
            self._progress = Progress(
                activity=Activity.TRAINING,
                step=step,
                total_steps=STEPS,
                loss=2.0 - step / STEPS,
                reward_margin=step / STEPS if self._stage is StageName.PREFERENCE else None,
                tokens_per_second=100.0,
                eta_seconds=60.0,
                resumed_step=first,
                checkpoint_step=step - step % SAVE_STEPS,
            )
            self._report(ReportState.RUNNING)
            if step % SAVE_STEPS == 0:
                _replace(checkpoint, str(step))
            self._wait()
        artifact = self._publish(self._path(self._stage, digest), {"stage": self._stage, "digest": digest})
        return AdapterResult(artifact=artifact, steps=STEPS)

    def _merge(self) -> MergeResult:
        run = self._run_spec.merge
        assert run is not None
        self._wait()
        output = _path_of(run.spec.output.uri) / "manifest.json"
        adopted = output.exists()
        adapters = [run.sft.digest, run.preference.digest]
        artifact = self._publish(output, {"adapters": adapters, "method": run.spec.method})
        return MergeResult(
            artifact=artifact,
            recipe_digest=digest_of(["recipe", *adapters]),
            method=run.spec.method,
            merged_tensors=7,
            copied_tensors=3,
            bytes=2_500_000,
            seconds=0.5,
            peak_memory_bytes=80_000_000,
            adopted=adopted,
            candidates=tuple(self._candidate(run.spec.output.uri, candidate) for candidate in run.spec.candidates),
            warnings=("played",) if run.spec.candidates else (),
        )

    def _candidate(self, output: str, candidate: MergeCandidate) -> MergeCandidateResult:
        path = _path_of(candidate_folder(output, candidate.name)) / "manifest.json"
        return MergeCandidateResult(
            name=candidate.name,
            artifact=self._publish(path, {"name": candidate.name}),
            recipe_digest=digest_of(["recipe", candidate.name]),
            method=candidate.method,
            bytes=2_500_000,
        )

    def _published(self, stage: StageName, digest: str) -> FinishedArtifact | None:
        path = self._path(stage, digest)
        return _artifact(path) if path.exists() else None

    def _publish(self, path: Path, document: dict[str, object]) -> FinishedArtifact:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(document), encoding="utf-8")
        return _artifact(path)

    def _path(self, stage: StageName, digest: str) -> Path:
        return _path_of(stage_folder(self._run_spec.storage.artifacts_uri, stage, digest)) / "adapter.json"

    def _checkpoint(self) -> Path:
        return self._path(self._stage, self._run_spec.stage_digest or "").with_name("checkpoint.json")

    def _checkpoint_step(self) -> int:
        return int(self._checkpoint().read_text(encoding="utf-8")) if self._checkpoint().exists() else 0

    def _wait(self) -> None:
        time.sleep(self._seconds("seconds", 0.02))

    def _seconds(self, name: str, default: float) -> float:
        script = self._folder / f"{self._stage}.{name}"
        return float(script.read_text(encoding="utf-8")) if script.exists() else default

    def _report(self, state: ReportState, **fields: object) -> None:
        report = StageReport(
            identity=self._run_spec.identity,
            state=state,
            updated_at=datetime.now(UTC),
            progress=self._progress,
            **fields,
        )
        _replace(Path(self._run_spec.report_path), report.to_json())

    def _leave(self, message: TerminationMessage) -> int:
        _replace(Path(self._run_spec.termination_path), message.to_json())
        return message.exit_code


def _artifact(path: Path) -> FinishedArtifact:
    return FinishedArtifact(
        uri=f"file://{path.parent}/", digest=digest_of(json.loads(path.read_text(encoding="utf-8")))
    )


def _path_of(uri: str) -> Path:
    return Path(uri.removeprefix("file://"))


def _append(path: Path, line: str) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(line + "\n")


def _replace(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)


def _stop_on_sigterm() -> None:
    def stop(*_: object) -> None:
        raise Stopped

    signal.signal(signal.SIGTERM, stop)


def main() -> int:
    """Play the stage named on the command line."""
    assert sys.argv[2] == "--run-spec"
    run_spec = RunSpec.model_validate_json(Path(sys.argv[3]).read_text(encoding="utf-8"))
    assert run_spec.identity.stage == sys.argv[1]
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != int(os.environ["PAFT_PARENT_PID"]):
        return EXIT_STOPPED
    _stop_on_sigterm()
    return Player(run_spec).play()


if __name__ == "__main__":
    sys.exit(main())
