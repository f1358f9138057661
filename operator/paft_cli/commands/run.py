"""`paft run FILE`: the whole job on this machine."""

import importlib.util
import json
import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console

from paft_api.run_spec import World
from paft_api.spec import PaftJob
from paft_api.stages import StageName
from paft_cli.commands.job_files import read_job
from paft_cli.display.displays import display_on
from paft_cli.display.summary import failure_text, stop_text, success_text
from paft_cli.errors import EXIT_FAILED, CommandError
from paft_cli.local import local_job
from paft_cli.local.directories import JobDirectory, node_cache, paft_home
from paft_cli.local.executor import Outcome, execute
from paft_cli.local.job_lock import exclusive
from paft_cli.local.launchers import TRAINER_COMMAND, Launchers
from paft_cli.local.local_host import LocalHost
from paft_cli.local.machine import this_machine, worlds_on
from paft_cli.local.stop_signals import StopSignals
from paft_operator.worlds import describe_order, describe_world

STOP_GRACE_SECONDS = 300
"""What ranks have to save after Ctrl-C; a second one ends the waiting."""


def run(file: Path, *, output: str, trainer_command: Sequence[str] = TRAINER_COMMAND) -> int:
    """Run the job to its end; returns the exit code. Raises CommandError for what cannot be started."""
    job = read_job(file)
    require_runnable(job)
    if trainer_command == TRAINER_COMMAND:
        require_trainer()
    console = Console(stderr=output == "json", highlight=False, soft_wrap=True)
    directory = JobDirectory.of(job.metadata.name)
    worlds = worlds_on(this_machine(os.environ), job)
    with exclusive(directory), StopSignals() as stop_signals:
        job = local_job.begin(directory, job, file)
        _announce(job, directory, worlds, console)
        host = LocalHost(
            directory,
            Launchers(_environment(job), trainer_command),
            worlds=worlds,
            cache_directory=paft_home() / "cache",
            stop_grace_seconds=STOP_GRACE_SECONDS,
        )
        with display_on(console) as display:
            outcome = execute(
                job,
                host,
                display,
                stop_signals,
                write_status=lambda status: local_job.write_status(directory, status),
            )
        if output == "json":
            print(json.dumps(local_job.read_document(directory), indent=2))
        return _conclude(outcome, directory, file, stop_signals, console)


def require_runnable(job: PaftJob) -> None:
    """Raises CommandError for a job that would wait for ever."""
    if job.spec.run_policy.suspend:
        raise CommandError("spec.runPolicy.suspend is true: nothing would run; set it to false or remove it")


def require_trainer() -> None:
    """Raises CommandError where the stages cannot run in this environment."""
    if importlib.util.find_spec("torch") is None:
        raise CommandError("torch is not installed here, so no stage can run; install paft[cli,trainer]")


def _environment(job: PaftJob) -> dict[str, str]:
    own = {variable.name: variable.value for variable in job.spec.trainer.env}
    # The order in which nvidia-smi counts, so that indices mean the same to us and to the ranks.
    return {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", **os.environ, **own}


def _announce(job: PaftJob, directory: JobDirectory, worlds: Mapping[StageName, World], console: Console) -> None:
    console.print(
        f"job {job.metadata.name}, generation {job.metadata.generation}, state in {directory.path}", markup=False
    )
    console.print(describe_world(StageName.SFT, job.spec.sft, worlds[StageName.SFT]), markup=False)
    console.print(describe_world(StageName.PREFERENCE, job.spec.preference, worlds[StageName.PREFERENCE]), markup=False)
    console.print(describe_order(worlds), markup=False)
    cache = job.spec.base.cache
    if cache is not None and cache.host_path is None:
        console.print(f"base.cache is a volume in clusters; here it is {node_cache()}", markup=False)
    if job.spec.storage.secret_ref is not None:
        console.print(
            f"storage.secretRef {job.spec.storage.secret_ref.name} is a Secret in clusters; here it is the profile of "
            "that name in the AWS configuration, or without one what the environment gives",
            markup=False,
        )


def _conclude(
    outcome: Outcome, directory: JobDirectory, file: Path, stop_signals: StopSignals, console: Console
) -> int:
    if outcome.stopped:
        console.print(stop_text(f"paft run {shlex.quote(str(file))}"), markup=False)
        return stop_signals.exit_code
    if outcome.status.output is None:
        text = failure_text(outcome.status, outcome.observed, directory)
        print(text, file=sys.stderr)
        return EXIT_FAILED
    console.print(success_text(outcome.status), markup=False)
    return 0
