"""`paft storage`: what jobs have left in object storage, and removing what is proven to be of no use."""

import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from paft_api.spec.storage import StorageSpec
from paft_api.storage_survey import CleanUp, EndedAttempts, StorageSurvey, SurveyRequest
from paft_cli.commands.documents import print_document
from paft_cli.commands.job_files import read_job
from paft_cli.commands.merge import as_uri
from paft_cli.commands.run import require_trainer
from paft_cli.display.storage_tables import clean_up_text, proposal_text, survey_text
from paft_cli.errors import EXIT_FAILED, CommandError
from paft_cli.local.directories import JobDirectory
from paft_cli.local.launchers import ended_attempts
from paft_cli.targets import ClusterOptions

KEEPING_COMMAND = (sys.executable, "-P", "-m", "paft_trainer.keeping")
"""An action is appended. -P: modules in the current directory are not the trainer's."""

_JOB_SUFFIXES = (".yaml", ".yml", ".json")


@dataclass(frozen=True, kw_only=True, slots=True)
class StorageArguments:
    """The command line, as it was given. `target`: a job's file, or the address of artifacts or of an output. `ended`:
    uids of jobs that the user says are over. `cluster`: asked about attempts that storage does not prove to be over."""

    target: str
    ended: tuple[str, ...] = ()
    cluster: ClusterOptions | None = None
    endpoint: str | None = None
    region: str | None = None
    index: bool = False


def list_storage(arguments: StorageArguments, *, output: str) -> int:
    """Print what there is; returns the exit code. Raises CommandError for arguments that cannot work."""
    survey = _survey(arguments)
    if survey is None:
        return EXIT_FAILED
    return _tell(survey, survey_text(survey, now=datetime.now(UTC)), output)


def collect_garbage(arguments: StorageArguments, *, dry_run: bool, output: str) -> int:
    """Remove what can go, or say what that would be; returns the exit code. Raises as list_storage does."""
    if dry_run:
        survey = _survey(arguments)
        if survey is None:
            return EXIT_FAILED
        return _tell(survey, proposal_text(survey), output)
    answer = _ask("clean", arguments)
    if answer is None:
        return EXIT_FAILED
    done = CleanUp.model_validate_json(answer)
    return _tell(done, clean_up_text(done), output)


def _tell(answer: StorageSurvey | CleanUp, text: str, output: str) -> int:
    if output == "json":
        print_document(answer.to_document())
    else:
        print(text)
    return 0


def _survey(arguments: StorageArguments) -> StorageSurvey | None:
    answer = _ask("survey", arguments)
    return StorageSurvey.model_validate_json(answer) if answer is not None else None


def _ask(action: Literal["survey", "clean"], arguments: StorageArguments) -> str | None:
    """The trainer's answer; None where it has said on stderr why there is none."""
    require_trainer()
    request = request_of(arguments)
    if arguments.cluster is not None:
        answer = _run_trainer("survey", request)
        if answer is None:
            return None
        told = _ended_in_cluster(arguments.cluster, StorageSurvey.model_validate_json(answer))
        request = request.model_copy(update={"ended": (*request.ended, *told)})
    return _run_trainer(action, request)


def _ended_in_cluster(cluster: ClusterOptions, survey: StorageSurvey) -> list[EndedAttempts]:
    # The client of clusters takes longer to import than all else.
    from paft_cli.cluster.ended_attempts import ended_in_cluster
    from paft_cli.cluster.paft_jobs import PaftJobs

    return ended_in_cluster(PaftJobs.of(cluster), survey.folders)


def _run_trainer(action: Literal["survey", "clean"], request: SurveyRequest) -> str | None:
    ended = subprocess.run(
        [*KEEPING_COMMAND, action], input=request.to_json(), stdout=subprocess.PIPE, text=True, check=False
    )
    return ended.stdout if ended.returncode == 0 else None


def request_of(arguments: StorageArguments) -> SurveyRequest:
    """What the trainer is asked. Raises CommandError."""
    told = tuple(EndedAttempts(job_uid=uid, why="--ended says so") for uid in arguments.ended)
    if Path(arguments.target).suffix in _JOB_SUFFIXES and not arguments.target.endswith("/"):
        return _request_of_job(arguments, told)
    try:
        # What kind of folder it is shows when it is listed.
        storage = StorageSpec(
            artifacts_uri=as_uri(arguments.target), endpoint=arguments.endpoint, region=arguments.region
        )
    except ValidationError as error:
        raise CommandError("\n".join(_explained(error))) from error
    return SurveyRequest(storage=storage, outputs=(storage.artifacts_uri,), ended=told, index=arguments.index)


def _request_of_job(arguments: StorageArguments, told: tuple[EndedAttempts, ...]) -> SurveyRequest:
    for option, value in (("--endpoint", arguments.endpoint), ("--region", arguments.region)):
        if value is not None:
            raise CommandError(f"{option} is for addresses; {arguments.target} tells it in spec.storage")
    job = read_job(Path(arguments.target))
    return SurveyRequest(
        storage=job.spec.storage,
        outputs=(job.spec.merge.output.uri,),
        ended=(*told, *ended_attempts(JobDirectory.of(job.metadata.name))),
        index=arguments.index,
    )


def _explained(error: ValidationError) -> list[str]:
    names = {"artifactsUri": "URI", "artifacts_uri": "URI", "endpoint": "--endpoint", "region": "--region"}
    return [f"{names[str(one['loc'][0])]} {one['input']!r}: {one['msg']}" for one in error.errors()]
