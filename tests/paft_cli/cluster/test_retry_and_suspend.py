"""`paft retry`, `paft suspend` and `paft resume` against a real API server."""

import json
import re
from datetime import UTC, datetime

import pytest
from tests.paft_cli.cluster.command_line import CommandLine
from tests.paft_cli.cluster.written_jobs import WrittenJobs, condition, failed, prepared, succeeded, training

from paft_api.stages import ARMS, StageName
from paft_api.status import ConditionType, PaftJobStatus, StageState, StageStatus
from paft_cli.commands.retry import beginning, new_token


def test_a_retry_sets_the_annotation_and_says_what_begins(paft: CommandLine, written: WrittenJobs) -> None:
    written.create(failed())

    assert paft("retry", "tiny") == (
        0,
        "PaftJob tiny is tried again now: sft as attempt 3 and preference as attempt 2\n"
        "Finished stages stay: prepare\n"
        "To watch it:\n"
        "  paft watch tiny\n",
        "",
    )
    job = written.get()
    assert re.fullmatch(r"\d{8}T\d{6}Z-[0-9a-f]{8}", job["metadata"]["annotations"]["paft.dev/retry"])
    assert job["metadata"]["generation"] == 1

    again = paft("retry", "tiny")
    assert (again.code, again.out) == (2, "")
    assert "was asked for already" in again.err
    assert paft("status", "tiny").out.endswith("A retry was asked for and begins soon.\n")


def test_tokens_of_one_second_differ() -> None:
    now = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    tokens = {new_token(now) for _ in range(100)}

    assert len(tokens) == 100
    assert all(token.startswith("20260102T030405Z-") for token in tokens)


@pytest.mark.parametrize(
    ("status", "why"),
    [
        (succeeded(), "has succeeded: there is nothing to retry"),
        (training(), "has not failed, it is Training: there is nothing to retry"),
        (failed(generation=7), "the operator has not seen generation 1"),
        (
            PaftJobStatus(
                observed_generation=1, conditions=(condition(ConditionType.STALLED, "InvalidSpec", "spec.sft: wrong"),)
            ),
            "is not valid, so there is nothing to retry",
        ),
    ],
)
def test_what_has_not_failed_is_not_retried(
    paft: CommandLine, written: WrittenJobs, status: PaftJobStatus, why: str
) -> None:
    written.create(status)

    ended = paft("retry", "tiny")

    assert (ended.code, ended.out) == (2, "")
    assert why in ended.err
    assert "annotations" not in written.get()["metadata"]


def test_what_begins_follows_from_what_is_finished() -> None:
    def status(*finished: StageName) -> PaftJobStatus:
        return PaftJobStatus(stages=tuple(StageStatus(name=one, state=StageState.SUCCEEDED) for one in finished))

    assert beginning(status()) == [StageName.PREPARE]
    assert beginning(status(StageName.PREPARE)) == list(ARMS)
    assert beginning(status(StageName.PREPARE, StageName.SFT)) == [StageName.PREFERENCE]
    assert beginning(status(StageName.PREPARE, *ARMS)) == [StageName.MERGE]


def test_suspend_and_resume(paft: CommandLine, written: WrittenJobs) -> None:
    written.create(training())

    suspended = paft("suspend", "tiny")
    assert suspended.out.startswith(
        "PaftJob tiny stops after sft and preference saved\nTo go on:\n  paft resume tiny\n"
    )
    assert "change spec.runPolicy.suspend in Git too" in suspended.out
    assert written.get()["spec"]["runPolicy"] == {"suspend": True}
    assert paft("suspend", "tiny").out == "PaftJob tiny was suspended already\n"

    resumed = paft("resume", "tiny", "--output", "json")
    assert json.loads(resumed.out)["spec"]["runPolicy"] == {"suspend": False}
    assert written.get()["metadata"]["generation"] == 3
    assert paft("resume", "tiny").out == "PaftJob tiny is not suspended, it is Training\n"


def test_what_has_ended_is_not_suspended(paft: CommandLine, written: WrittenJobs) -> None:
    written.create(succeeded())

    ended = paft("suspend", "tiny")

    assert (ended.code, ended.err) == (2, "PaftJob tiny has succeeded: there is nothing to suspend\n")
    assert written.get()["metadata"]["generation"] == 1


def test_a_resumed_job_names_the_way_to_watch_it(paft: CommandLine, written: WrittenJobs) -> None:
    written.create(PaftJobStatus(observed_generation=1, stages=(prepared(),)), suspend=True)

    ended = paft("resume", "tiny")

    assert ended.out.startswith("PaftJob tiny goes on; arms continue from their last checkpoints")
    assert "\nTo watch it:\n  paft watch tiny\n" in ended.out


@pytest.mark.parametrize(
    ("command", "instead"),
    [
        ("retry", "paft run job.yaml tries it again"),
        ("suspend", "Ctrl-C stops its paft run after the arms have saved"),
        ("resume", "paft run job.yaml continues it"),
    ],
)
def test_a_path_is_told_what_to_do_on_this_machine(paft: CommandLine, command: str, instead: str) -> None:
    ended = paft(command, "job.yaml")

    assert (ended.code, ended.err) == (
        2,
        f"job.yaml is a path, which means a job on this machine: {instead}\n",
    )
