"""`paft validate FILE`."""

from pathlib import Path

from paft_cli.commands.job_files import read_job


def validate(file: Path) -> None:
    """One line for a file that is fine. Raises CommandError with all errors otherwise."""
    job = read_job(file)
    print(f"{file}: {job.kind} {job.metadata.name} is valid")
