"""`paft validate --deep FILE`: prepare's checks from here, without a cluster."""

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from paft_api.causes import CAUSE_FACTS
from paft_api.documents import nearest_place, parse_path
from paft_api.errors import JobFileFinding
from paft_api.rehearsal import RehearsedPreparation
from paft_api.report import Finding
from paft_api.run_spec import PrepareRun, RunSpec, StageIdentity
from paft_api.spec import PaftJob
from paft_api.stages import StageName
from paft_api.yaml_documents import PlacedDocument, read_document
from paft_cli.commands.job_files import read_job
from paft_cli.commands.rehearse import REHEARSAL_COMMAND
from paft_cli.commands.run import require_trainer
from paft_cli.errors import EXIT_BAD_INPUT, EXIT_FAILED
from paft_cli.local.directories import AttemptDirectory, paft_home
from paft_cli.local.files import write_atomically


def validate_deeply(file: Path, *, command: Sequence[str] = REHEARSAL_COMMAND) -> int:
    """Check the file, then what it names; returns the exit code. Raises CommandError for a bad file."""
    job = read_job(file)
    if command == REHEARSAL_COMMAND:
        require_trainer()
    with tempfile.TemporaryDirectory(prefix="paft-validate-") as folder:
        directory = AttemptDirectory(Path(folder), StageName.PREPARE, 1)
        directory.scratch.mkdir()
        write_atomically(directory.run_spec_file, run_spec_of(job, directory).to_json())
        # What the trainer says while it waits, and its errors, go to stderr as they come.
        line = [*command, "--run-spec", str(directory.run_spec_file)]
        ended = subprocess.run(line, stdout=subprocess.PIPE, text=True, check=False)
    if ended.returncode != 0:
        return EXIT_FAILED
    return tell(file, job, RehearsedPreparation.model_validate_json(ended.stdout))


def tell(file: Path, job: PaftJob, found: RehearsedPreparation) -> int:
    """Print what was found; returns the exit code."""
    if found.findings:
        print("\n".join(_lines(file, found.findings)), file=sys.stderr)
        return exit_code_of(found.findings)
    print(f"{file}: {job.kind} {job.metadata.name} is valid, and so are its base and its rows")
    print("\n".join(found.notes))
    return 0


def run_spec_of(job: PaftJob, directory: AttemptDirectory) -> RunSpec:
    """What prepare is told; of a cluster's credentials the profile of that name, as with `paft run`."""
    return RunSpec(
        identity=StageIdentity(
            job_name=job.metadata.name,
            job_namespace=job.metadata.namespace,
            job_uid="validate",
            generation=1,
            stage=StageName.PREPARE,
            attempt=1,
        ),
        base=job.spec.base,
        storage=job.spec.storage,
        report_path=str(directory.report_file),
        termination_path=str(directory.termination_file),
        scratch_directory=str(directory.scratch),
        cache_directory=str(paft_home() / "cache"),
        prepare=PrepareRun(sft=job.spec.sft, preference=job.spec.preference, merge=job.spec.merge),
    )


def exit_code_of(findings: Sequence[Finding]) -> int:
    """2 where something has to be changed; 1 where trying again may be enough."""
    return EXIT_FAILED if all(CAUSE_FACTS[finding.cause].retryable for finding in findings) else EXIT_BAD_INPUT


def _lines(file: Path, findings: Sequence[Finding]) -> list[str]:
    document = read_document(file)
    lines = []
    for finding in sorted(findings, key=lambda one: _place(document, one)):
        line, column = _place(document, finding)
        located = JobFileFinding(line=line, column=column, path=finding.field, message=finding.message)
        lines += [located.render(str(file)), f"  {finding.remedy}"]
    return lines


def _place(document: PlacedDocument, finding: Finding) -> tuple[int, int]:
    return nearest_place(document, parse_path(finding.field))
