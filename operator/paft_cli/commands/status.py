"""`paft status [FILE|NAME]`."""

from pathlib import Path

from paft_cli.commands.documents import print_document
from paft_cli.commands.job_files import state_of
from paft_cli.display.stage_rows import status_rows
from paft_cli.display.status_lines import headline, output_lines, time_lines
from paft_cli.local.directories import JobDirectory
from paft_cli.local.job_lock import is_held
from paft_cli.local.local_job import is_terminal, known_file, read_document, read_status
from paft_cli.tables import aligned
from paft_cli.targets import ClusterTarget, Target


def status(target: Target, *, output: str) -> None:
    """Print what is so. Raises CommandError."""
    if isinstance(target, ClusterTarget):
        from paft_cli.commands.cluster_status import show_cluster_status

        show_cluster_status(target, output=output)
    else:
        show_status(target.file, output=output)


def show_status(file: Path | None, *, output: str) -> None:
    """Print what is so on this machine, as the last `paft run` wrote it down."""
    directory = state_of(file)
    if output == "json":
        print_document(read_document(directory))
    else:
        print(_text(directory))


def _text(directory: JobDirectory) -> str:
    status = read_status(directory)
    if status is None:
        return f"{directory.path.name}: nothing has happened yet"
    lines = [headline(directory.path.name, status), aligned(status_rows(status)), *time_lines(status)]
    lines += output_lines(status)
    if not is_held(directory) and not is_terminal(status, status.observed_generation):
        lines.append(f"No paft run is working on this job. To continue:\n  paft run {known_file(directory)}")
    return "\n".join(lines)
