"""From what a user names on the command line to a job, its state folder, or both."""

from pathlib import Path

from paft_api.documents import load_job
from paft_api.errors import JobFileInvalid
from paft_api.spec import PaftJob
from paft_cli.errors import CommandError
from paft_cli.local.directories import JobDirectory, known_jobs, paft_home


def read_job(file: Path) -> PaftJob:
    """The job in a file. Raises CommandError with everything that is wrong with it."""
    try:
        return load_job(file)
    except JobFileInvalid as error:
        raise CommandError(str(error)) from error


def state_of(file: Path | None) -> JobDirectory:
    """The state folder of the job in a file; without one, of the only job there is. Raises CommandError."""
    if file is not None:
        directory = JobDirectory.of(read_job(file).metadata.name)
        if not directory.job_file.is_file():
            raise CommandError(
                f"{file} was never run here: there is no {directory.path}; start it with paft run {file}"
            )
        return directory
    jobs = known_jobs()
    if len(jobs) == 1:
        return jobs[0]
    if not jobs:
        raise CommandError(f"no job was ever run here: there is none in {paft_home()}")
    names = ", ".join(directory.path.name for directory in jobs)
    raise CommandError(f"several jobs were run here ({names}): name the job's file too")
