"""This machine as a place where attempts run: observes them and carries out what the planner decided."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from paft_api.report import StageReport
from paft_api.run_spec import NodeCache, RunSpec, TerminationMessage, World
from paft_api.spec import BaseCacheSpec, EmptyDirCache, PaftJob
from paft_api.stages import StageName
from paft_cli.local.attempt_exit import classify_exit
from paft_cli.local.attempt_records import ExitRecord
from paft_cli.local.directories import AttemptDirectory, JobDirectory, node_cache
from paft_cli.local.files import write_atomically
from paft_cli.local.launchers import Launchers, process_record
from paft_operator.planner.actions import StartAttempt, StopAttempt
from paft_operator.planner.observation import AttemptObservation, AttemptState, Observed
from paft_operator.run_specs import Placement, run_spec

_LOG_TAIL_BYTES = 8192


class LocalHost:
    """Attempts as processes of this machine, their state as files in the job's directory."""

    def __init__(
        self,
        directory: JobDirectory,
        launchers: Launchers,
        *,
        worlds: Mapping[StageName, World],
        cache_directory: Path,
        stop_grace_seconds: int,
    ) -> None:
        self._directory = directory
        self._launchers = launchers
        self._worlds = worlds
        self._cache_directory = cache_directory
        self._stop_grace_seconds = stop_grace_seconds
        self._ended: dict[Path, AttemptObservation] = {}
        """Attempts that have ended do not change any more."""

    def observe(self) -> Observed:
        """All attempts that ever got a process, and the processes each arm gets here."""
        found = [self._observe(attempt) for attempt in self._directory.attempts()]
        return Observed(attempts=tuple(one for one in found if one is not None), worlds=self._worlds)

    def start(self, job: PaftJob, action: StartAttempt) -> None:
        """Start an attempt; nothing where it has been started before."""
        directory = self._directory.attempt(action.stage, action.attempt)
        if self._launchers.is_running(directory) or directory.process_file.exists():
            return
        placement = Placement(
            world=self._worlds.get(action.stage),
            report_path=str(directory.report_file),
            termination_path=str(directory.termination_file),
            scratch_directory=str(directory.scratch),
            cache_directory=str(self._cache_directory),
            base_cache=self._base_cache(job.spec.base.cache),
            stop_grace_seconds=self._stop_grace_seconds,
        )
        write_atomically(directory.run_spec_file, run_spec(job, action, placement).to_json() + "\n")
        self._launchers.start(directory)

    def stop(self, action: StopAttempt) -> None:
        """Ask a running attempt to save and end, once."""
        self._launchers.stop(self._directory.attempt(action.stage, action.attempt), action.reason)

    def kill_all(self) -> None:
        """End every running attempt at once."""
        for attempt in self._directory.attempts():
            if self._launchers.is_running(attempt):
                self._launchers.kill(attempt)

    @staticmethod
    def _base_cache(cache: BaseCacheSpec | None) -> NodeCache:
        """The folder of the machine that the job names, as on a node; else our own."""
        if cache is None:
            cache = BaseCacheSpec(empty_dir=EmptyDirCache())
        directory = cache.host_path.path if cache.host_path is not None else node_cache()
        return NodeCache(directory=str(directory), max_bytes=cache.max_bytes)

    def _observe(self, directory: AttemptDirectory) -> AttemptObservation | None:
        if directory.path in self._ended:
            return self._ended[directory.path]
        observation = observe_attempt(directory, self._launchers)
        if observation is not None and observation.state is not AttemptState.RUNNING:
            self._ended[directory.path] = observation
        return observation


def observe_attempt(directory: AttemptDirectory, launchers: Launchers) -> AttemptObservation | None:
    """One attempt as its process and files show it; None where it never got a process."""
    is_running = launchers.is_running(directory)
    process = process_record(directory)
    if process is None and not is_running:
        # `paft run` was killed before the launcher wrote down who it is: this attempt has not begun.
        return None
    told = RunSpec.model_validate_json(directory.run_spec_file.read_text(encoding="utf-8"))
    started_at = process.started_at if process is not None else _modified_at(directory.run_spec_file)
    observation = AttemptObservation(
        stage=directory.stage,
        attempt=directory.attempt,
        generation=told.identity.generation,
        stage_digest=told.stage_digest,
        state=AttemptState.RUNNING,
        started_at=started_at,
        admitted_at=started_at,
        running_since=started_at,
        stopping=directory.stop_file.exists() or launchers.is_orphan(directory),
        report=_report(directory, told),
    )
    return observation if is_running else _ended(directory, observation)


def _ended(directory: AttemptDirectory, last_seen: AttemptObservation) -> AttemptObservation:
    exit_record = ExitRecord.model_validate_json(directory.exit_file.read_text(encoding="utf-8"))
    state, failure = classify_exit(
        exit_record,
        termination=_termination(directory),
        report=last_seen.report,
        stop_requested=directory.stop_file.exists(),
        last_log_line=_last_line(directory.log_file),
    )
    return replace(last_seen, state=state, stopping=False, finished_at=exit_record.finished_at, failure=failure)


def _report(directory: AttemptDirectory, told: RunSpec) -> StageReport | None:
    if not directory.report_file.exists():
        return None
    report = StageReport.model_validate_json(directory.report_file.read_text(encoding="utf-8"))
    return report if report.identity == told.identity else None


def _termination(directory: AttemptDirectory) -> TerminationMessage | None:
    if not directory.termination_file.exists():
        return None
    return TerminationMessage.model_validate_json(directory.termination_file.read_text(encoding="utf-8"))


def _last_line(log: Path) -> str:
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - _LOG_TAIL_BYTES))
        lines = file.read().decode(errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "")


def _modified_at(path: Path) -> datetime:
    return datetime.fromtimestamp(path.stat().st_mtime, UTC)
