"""`paft watch [FILE|NAME]`: both arms until the job ends."""

import json
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from rich.console import Console

from paft_api.conditions import JOB_FAILED, JOB_SUCCEEDED, OUTPUT_IN_USE
from paft_api.status import Condition, ConditionType
from paft_cli.commands.job_files import state_of
from paft_cli.display.displays import display_on, is_live
from paft_cli.display.end_lines import failure_lines
from paft_cli.display.stage_rows import status_rows
from paft_cli.display.status_lines import headline, telling_conditions
from paft_cli.display.summary import success_text
from paft_cli.errors import EXIT_FAILED
from paft_cli.job_document import JobDocument, JobEnd
from paft_cli.local.executor import Display
from paft_cli.local.job_watch import watch_local_job
from paft_cli.local.local_job import known_file
from paft_cli.tables import aligned
from paft_cli.targets import ClusterTarget, LocalTarget, Target
from paft_operator.planner.actions import Event
from paft_operator.planner.events import transition_events

EXIT_INTERRUPTED = 130
_TOLD_AT_THE_END = {JOB_SUCCEEDED, JOB_FAILED}


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """What is watched. `logs`, `watch`, `again`: commands for a person to copy, `logs` from a stage and an attempt."""

    states: Iterable[JobDocument]
    logs: Callable[[str, int], str]
    watch: str
    again: str


def watch(target: Target, *, output: str) -> int:
    """Show a job until it ends; the exit code. Raises CommandError where it cannot be watched any more."""
    console = Console(stderr=output == "json", highlight=False, soft_wrap=True)
    with display_on(console) as display:
        subject = _subject(target, lambda text: display.tell(_notice(text, type_="Warning")))
        try:
            last = _follow(subject, display, console, output=output)
        except KeyboardInterrupt:
            display.tell(_notice(f"The job goes on. To watch it again:\n  {subject.watch}"))
            return EXIT_INTERRUPTED
    if last.end is JobEnd.SUCCEEDED:
        console.print(success_text(last.status), markup=False)
        return 0
    print("\n".join(failure_lines(last.status, log_command=subject.logs, retry_command=subject.again)), file=sys.stderr)
    return EXIT_FAILED


def _subject(target: Target, on_trouble: Callable[[str], None]) -> Subject:
    return _cluster_subject(target, on_trouble) if isinstance(target, ClusterTarget) else _local_subject(target)


def _cluster_subject(target: ClusterTarget, on_trouble: Callable[[str], None]) -> Subject:
    from paft_cli.cluster.job_watch import JobWatch
    from paft_cli.cluster.paft_jobs import PaftJobs

    jobs = PaftJobs.of(target.options)
    command = jobs.connection.command
    return Subject(
        states=JobWatch(jobs, target.name, on_trouble=on_trouble),
        logs=lambda stage, attempt: command("logs", stage, target.name, "--attempt", str(attempt)),
        watch=command("watch", target.name),
        again=command("retry", target.name),
    )


def _local_subject(target: LocalTarget) -> Subject:
    directory = state_of(target.file)
    file = shlex.quote(str(target.file or known_file(directory)))
    return Subject(
        states=watch_local_job(directory),
        logs=lambda stage, attempt: f"paft logs {stage} {file} --attempt {attempt}",
        watch=f"paft watch {file}",
        again=f"paft run {file}",
    )


def _follow(subject: Subject, display: Display, console: Console, *, output: str) -> JobDocument:
    """The last state, in which the job has ended."""
    before: JobDocument | None = None
    for job in subject.states:
        if output == "json":
            print(json.dumps(job.document), flush=True)
        else:
            _show(job, before, display, is_live=is_live(console))
        if job.end is not None:
            return job
        before = job
    raise AssertionError("what is watched has no end of its own")


def _show(job: JobDocument, before: JobDocument | None, display: Display, *, is_live: bool) -> None:
    if before is None:
        display.tell(_notice(headline(job.name, job.status)))
        if job.status.stages and not is_live:
            display.tell(_notice(aligned(status_rows(job.status))))
    for event in _news(job, before):
        display.tell(event)
    display.show(job.status)


def _news(job: JobDocument, before: JobDocument | None) -> Iterator[Event]:
    """What happened since, and the conditions that are new; the end has words of its own."""
    if before is not None:
        events = transition_events(before.status, job.status)
        yield from (event for event in events if event.reason not in _TOLD_AT_THE_END)
    known = [_essence(one) for one in telling_conditions(before.status)] if before is not None else []
    for condition in telling_conditions(job.status) if job.end is None else ():
        if _essence(condition) not in known and not (before is not None and _is_event(condition)):
            yield _notice(f"{condition.type}: {condition.message or condition.reason}")


def _is_event(condition: Condition) -> bool:
    """Whether it comes with an event, which tells it."""
    return condition.type is ConditionType.SUSPENDED or condition.reason == OUTPUT_IN_USE


def _essence(condition: Condition) -> tuple[str, str]:
    return condition.type, condition.message


def _notice(text: str, *, type_: str = "Normal") -> Event:
    return Event(type="Warning" if type_ == "Warning" else "Normal", reason="Watched", message=text)
