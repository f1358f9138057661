"""`paft logs STAGE [FILE|NAME]`."""

import shutil
import sys
import time
from pathlib import Path

from paft_api.stages import StageName
from paft_cli.commands.job_files import state_of
from paft_cli.errors import CommandError
from paft_cli.local.attempt_process import start_time_of
from paft_cli.local.directories import AttemptDirectory, JobDirectory
from paft_cli.local.launchers import process_record
from paft_cli.targets import ClusterTarget, Target

_FOLLOW_SECONDS = 0.3


def logs(stage: StageName, target: Target, *, attempt: int | None, index: int | None, follow: bool) -> None:
    """Print the log of an attempt, of its first pod where none is named. Raises CommandError."""
    if isinstance(target, ClusterTarget):
        from paft_cli.commands.cluster_logs import show_cluster_logs

        show_cluster_logs(stage, target, attempt=attempt, index=index or 0, follow=follow)
        return
    if index is not None:
        raise CommandError("--index is for pods in a cluster: all processes on this machine write to one log")
    show_logs(stage, target.file, attempt=attempt, follow=follow)


def show_logs(stage: StageName, file: Path | None, *, attempt: int | None, follow: bool) -> None:
    """Print the log of an attempt, the newest if none is named; with `follow` until the attempt has ended."""
    directory = _chosen(state_of(file), stage, attempt)
    with directory.log_file.open("rb") as log:
        while True:
            # Asked before reading: what is written until the process ends is read in the last round.
            is_over = not follow or not _is_alive(directory)
            shutil.copyfileobj(log, sys.stdout.buffer)
            sys.stdout.flush()
            if is_over:
                return
            time.sleep(_FOLLOW_SECONDS)


def _chosen(job: JobDirectory, stage: StageName, attempt: int | None) -> AttemptDirectory:
    found = {one.attempt: one for one in job.attempts() if one.stage is stage and one.log_file.is_file()}
    if not found:
        raise CommandError(f"{stage} of job {job.path.name} has no log: it was never started here")
    if attempt is None:
        return found[max(found)]
    if attempt not in found:
        numbers = ", ".join(str(number) for number in sorted(found))
        raise CommandError(f"{stage} of job {job.path.name} has no attempt {attempt}; there are: {numbers}")
    return found[attempt]


def _is_alive(directory: AttemptDirectory) -> bool:
    record = process_record(directory)
    return record is not None and start_time_of(record.pid) == record.start_time
