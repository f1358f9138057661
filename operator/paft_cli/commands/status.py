"""`paft status [FILE]`."""

import json
from pathlib import Path

from paft_cli.commands.job_files import state_of
from paft_cli.display.stage_rows import status_rows
from paft_cli.local.directories import JobDirectory
from paft_cli.local.job_lock import is_held
from paft_cli.local.local_job import is_terminal, known_file, read_document, read_status
from paft_cli.tables import aligned, format_bytes


def show_status(file: Path | None, *, output: str) -> None:
    """Print what is so, as the last `paft run` wrote it down."""
    directory = state_of(file)
    if output == "json":
        print(json.dumps(read_document(directory), indent=2))
    else:
        print(_text(directory))


def _text(directory: JobDirectory) -> str:
    status = read_status(directory)
    if status is None:
        return f"{directory.path.name}: nothing has happened yet"
    eta = f", ETA {status.eta}" if status.eta else ""
    lines = [f"{directory.path.name}: {status.phase}{eta}", aligned(status_rows(status))]
    if status.output is not None:
        lines.append(f"output: {status.output.uri} ({status.output.method}, {format_bytes(status.output.bytes)})")
    if not is_held(directory) and not is_terminal(status, status.observed_generation):
        lines.append(f"No paft run is working on this job. To continue:\n  paft run {known_file(directory)}")
    return "\n".join(lines)
