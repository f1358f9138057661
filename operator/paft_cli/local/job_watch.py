"""A local job as it changes, from its files."""

import time
from collections.abc import Iterator

from paft_cli.errors import CommandError
from paft_cli.job_document import JobDocument, read_job_document
from paft_cli.local.directories import JobDirectory
from paft_cli.local.job_lock import is_held
from paft_cli.local.local_job import known_file, read_document

_LOOK_SECONDS = 0.3

_PATIENCE_SECONDS = 5.0
"""In which a `paft run` may begin, or write its last status."""


def watch_local_job(directory: JobDirectory) -> Iterator[JobDocument]:
    """Each state that is seen, without end. Raises CommandError where no `paft run` works on the job any more."""
    last: JobDocument | None = None
    seen_at = time.monotonic()
    while True:
        job = read_job_document(read_document(directory))
        if job != last:
            last = job
            yield job
        if is_held(directory):
            seen_at = time.monotonic()
        elif time.monotonic() - seen_at > _PATIENCE_SECONDS:
            raise CommandError(
                f"No paft run is working on this job, which is {job.status.phase}. To continue:\n"
                f"  paft run {known_file(directory)}"
            )
        time.sleep(_LOOK_SECONDS)
