"""Where local jobs keep their state.

.paft/                                 or $PAFT_HOME
  cache/                               parts of bases, and copies of those that only transformers can load
  jobs/<metadata.name>/
    job.json  status.json  lock
    attempts/<stage>-<attempt>/
      run_spec.json                    what the attempt was told
      lock                             held as long as its launcher lives
      process.json                     which process that is
      report.json  termination.json    what the stage and its launcher say
      stop.json                        it was asked to stop
      exit.json                        how it ended
      log.txt  scratch/
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from paft_api.stages import StageName

HOME_VARIABLE = "PAFT_HOME"
_ATTEMPT_NAME = re.compile(r"(?P<stage>[a-z]+)-(?P<attempt>[1-9][0-9]*)")


def paft_home() -> Path:
    """The state folder: $PAFT_HOME, else .paft in the current directory."""
    return Path(os.environ.get(HOME_VARIABLE) or ".paft").absolute()


def node_cache() -> Path:
    """Parts of bases that all jobs of this folder share, where a job names no other place."""
    return paft_home() / "cache" / "node"


@dataclass(frozen=True, slots=True)
class AttemptDirectory:
    """The folder of one attempt."""

    path: Path
    stage: StageName
    attempt: int

    @property
    def run_spec_file(self) -> Path:
        """RunSpec."""
        return self.path / "run_spec.json"

    @property
    def lock_file(self) -> Path:
        """flock held by the launcher."""
        return self.path / "lock"

    @property
    def process_file(self) -> Path:
        """ProcessRecord, written by the launcher's process before it becomes the launcher."""
        return self.path / "process.json"

    @property
    def report_file(self) -> Path:
        """StageReport."""
        return self.path / "report.json"

    @property
    def termination_file(self) -> Path:
        """TerminationMessage."""
        return self.path / "termination.json"

    @property
    def stop_file(self) -> Path:
        """There once the attempt was asked to stop."""
        return self.path / "stop.json"

    @property
    def exit_file(self) -> Path:
        """ExitRecord, written by whoever saw that the launcher had ended."""
        return self.path / "exit.json"

    @property
    def log_file(self) -> Path:
        """Everything the launcher and its ranks print."""
        return self.path / "log.txt"

    @property
    def scratch(self) -> Path:
        """Files of this attempt only."""
        return self.path / "scratch"


@dataclass(frozen=True, slots=True)
class JobDirectory:
    """The folder of one job."""

    path: Path

    @classmethod
    def of(cls, name: str) -> "JobDirectory":
        """The folder of the job with this metadata.name."""
        return cls(paft_home() / "jobs" / name)

    @property
    def job_file(self) -> Path:
        """LocalJob."""
        return self.path / "job.json"

    @property
    def status_file(self) -> Path:
        """PaftJobStatus."""
        return self.path / "status.json"

    @property
    def lock_file(self) -> Path:
        """flock held by the `paft run` at work; its text is that process's id."""
        return self.path / "lock"

    def attempt(self, stage: StageName, attempt: int) -> AttemptDirectory:
        """The folder of one attempt, whether it exists or not."""
        return AttemptDirectory(self.path / "attempts" / f"{stage}-{attempt}", stage, attempt)

    def attempts(self) -> Iterator[AttemptDirectory]:
        """The attempts that have a folder, by stage and number."""
        folder = self.path / "attempts"
        names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
        found = [match for name in names if (match := _ATTEMPT_NAME.fullmatch(name)) is not None]
        stages = list(StageName)
        for match in sorted(found, key=lambda one: (stages.index(StageName(one["stage"])), int(one["attempt"]))):
            yield self.attempt(StageName(match["stage"]), int(match["attempt"]))


def known_jobs() -> list[JobDirectory]:
    """All jobs that were ever run here, by name."""
    folder = paft_home() / "jobs"
    paths = sorted(folder.iterdir()) if folder.is_dir() else []
    return [directory for directory in map(JobDirectory, paths) if directory.job_file.is_file()]
