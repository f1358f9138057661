"""`paft status NAME` against a real API server."""

import json
from pathlib import Path

import pytest
from tests.paft_cli.cluster.command_line import CommandLine
from tests.paft_cli.cluster.written_jobs import WrittenJobs, condition, failed, succeeded, training

from paft_api.status import ConditionType, PaftJobStatus


def test_a_job_in_training(paft: CommandLine, written: WrittenJobs) -> None:
    written.create(
        training(
            conditions=(
                condition(ConditionType.QUEUED, "WaitingForAdmission", "The queue has not admitted every attempt yet."),
                condition(ConditionType.VALIDATED, "Completed", ""),
                condition(ConditionType.RECONCILING, "Progressing", "The next stage has not started yet."),
            )
        )
    )

    assert paft("status", "tiny") == (
        0,
        "tiny: Training, ETA 4s\n"
        "STAGE       STATE      ATTEMPT  STEP  LOSS  ETA\n"
        "prepare     Succeeded  1\n"
        "sft         Running    2        4/8   1.5   4s\n"
        "preference  Running    1        4/8   0.6   4s\n"
        "merge       Pending\n"
        "Queued: The queue has not admitted every attempt yet.\n",
        "",
    )


def test_a_failed_job_names_what_to_do_next(paft: CommandLine, written: WrittenJobs) -> None:
    written.create(failed())

    lines = paft("status", "tiny").out.splitlines()

    assert lines[0] == "tiny: Failed"
    assert "HostOOM: pod tiny-sft-2-0 ended with exit code 65: out of memory. Ask for more memory." in lines[3]
    assert lines[6:] == [
        "The log:",
        "  paft logs sft tiny --attempt 2",
        "To try again, once it is mended:",
        "  paft retry tiny",
    ]


def test_a_published_job_names_its_output(paft: CommandLine, written: WrittenJobs) -> None:
    written.create(succeeded())

    assert paft("status", "tiny").out.endswith("output: s3://models/tiny-paft/ (ties, 1.0 MB)\n")


def test_a_job_that_no_operator_has_seen(paft: CommandLine, written: WrittenJobs) -> None:
    written.create()

    ended = paft("status", "tiny")

    assert ended.out.startswith("tiny: Pending\nThe operator has not seen it yet.")


@pytest.mark.parametrize(
    ("status", "last_line"),
    [
        (
            training(conditions=(condition(ConditionType.RECONCILING, "ChildrenRefused", "exceeded quota: gpus"),)),
            "Reconciling: exceeded quota: gpus",
        ),
        (
            training(
                conditions=(condition(ConditionType.VALIDATED, "OutputInUse", "it is another's", status="Unknown"),)
            ),
            "Validated: it is another's",
        ),
        (
            training(conditions=(condition(ConditionType.FAILED, "DeadlineExceeded", "it took too long"),)),
            "Failed: it took too long",
        ),
        (training(generation=3), "This is about generation 3; generation 1 is not seen yet."),
    ],
)
def test_what_matters_is_told(paft: CommandLine, written: WrittenJobs, status: PaftJobStatus, last_line: str) -> None:
    written.create(status)

    assert last_line in paft("status", "tiny").out.splitlines()


def test_a_suspended_job_names_the_way_on(paft: CommandLine, written: WrittenJobs) -> None:
    written.create(
        training(conditions=(condition(ConditionType.SUSPENDED, "SuspendedBySpec", "runPolicy.suspend is true."),)),
        suspend=True,
    )

    assert paft("status", "tiny").out.endswith("Suspended: runPolicy.suspend is true.\nTo go on:\n  paft resume tiny\n")


def test_json_is_the_paft_job(paft: CommandLine, written: WrittenJobs) -> None:
    written.create(succeeded())

    document = json.loads(paft("status", "tiny", "-o", "json").out)

    assert (document["metadata"]["name"], document["status"]["phase"]) == ("tiny", "Succeeded")
    assert "managedFields" not in document["metadata"]


def test_commands_to_copy_mean_the_same_namespace_and_context(paft: CommandLine, written: WrittenJobs) -> None:
    written.create(failed())
    other = CommandLine(monkeypatch=paft.monkeypatch, capture=paft.capture, kubeconfig=_without_namespace(paft))

    ended = other("status", "tiny", "-n", written.namespace, "--context", "paft")

    assert ended.out.endswith(f"  paft retry tiny -n {written.namespace} --context paft\n")


def _without_namespace(paft: CommandLine) -> Path:
    target = paft.kubeconfig.with_name("without-namespace")
    lines = paft.kubeconfig.read_text(encoding="utf-8").splitlines()
    target.write_text("\n".join(line for line in lines if "namespace:" not in line), encoding="utf-8")
    return target
