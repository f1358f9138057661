"""`paft watch NAME` against a real API server, with interruptions between the two."""

import json
import os
import pty
import signal
import subprocess
from collections.abc import Iterator

import pytest
from tests.paft_cli.cluster.command_line import PAFT, CommandLine, changed_kubeconfig, ended, lines_of
from tests.paft_cli.cluster.interruptions import InterruptingProxy
from tests.paft_cli.cluster.written_jobs import WrittenJobs, condition, failed, succeeded, training
from tests.paft_cli.workplace import wait_until

from paft_api.status import ConditionType, PaftJobStatus

FIRST_LINES = [
    "tiny: Training, ETA 4s\n",
    "STAGE       STATE      ATTEMPT  STEP  LOSS  ETA\n",
    "prepare     Succeeded  1\n",
    "sft         Running    2        4/8   1.5   4s\n",
    "preference  Running    1        4/8   0.6   4s\n",
    "merge       Pending\n",
    "sft         Running    step 4/8  loss 1.5  ETA 4s\n",
    "preference  Running    step 4/8  loss 0.6  ETA 4s\n",
]


@pytest.fixture
def proxy(paft: CommandLine) -> Iterator[InterruptingProxy]:
    proxy = InterruptingProxy(paft.kubeconfig)
    with proxy.serving() as server:
        changed_kubeconfig(paft.kubeconfig, paft.kubeconfig, server=server)
        yield proxy


def test_a_job_is_followed_to_its_end(paft: CommandLine, written: WrittenJobs) -> None:
    written.create(training())

    process = paft.start("watch", "tiny")
    assert lines_of(process, 8) == FIRST_LINES
    queued = condition(ConditionType.QUEUED, "WaitingForAdmission", "The queue has not admitted every attempt yet.")
    written.write(training(conditions=(queued,)))
    assert lines_of(process, 1) == ["Queued: The queue has not admitted every attempt yet.\n"]
    written.write(succeeded())
    code, stdout, stderr = ended(process)

    assert (code, stderr) == (0, "")
    assert stdout.splitlines()[:3] == ["sft succeeded", "preference succeeded", "merge succeeded"]
    assert "Succeeded\n  output              s3://models/tiny-paft/\n" in stdout


def test_a_failed_job_ends_with_1_and_what_to_do_next(paft: CommandLine, written: WrittenJobs) -> None:
    written.create(failed())

    result = paft("watch", "tiny")

    assert result.code == 1
    assert result.out.startswith("tiny: Failed\n")
    assert result.err == (
        "Failed: sft attempt 2: HostOOM: pod tiny-sft-2-0 ended with exit code 65: out of memory. "
        "Ask for more memory.\n"
        "  log: paft logs sft tiny --attempt 2\n"
        "To try again, once it is mended:\n"
        "  paft retry tiny\n"
    )


def test_an_invalid_spec_ends_the_watch(paft: CommandLine, written: WrittenJobs) -> None:
    stalled = condition(ConditionType.STALLED, "InvalidSpec", "spec.sft: wrong. Mend the fields named.")
    written.create(PaftJobStatus(observed_generation=1, conditions=(stalled,)))

    result = paft("watch", "tiny")

    assert result.code == 1
    assert result.err.startswith("Failed: InvalidSpec: spec.sft: wrong. Mend the fields named.\n")


def test_json_is_one_line_for_each_change(paft: CommandLine, written: WrittenJobs) -> None:
    written.create(training())

    process = paft.start("watch", "tiny", "--output", "json")
    first = json.loads(lines_of(process, 1)[0])
    written.write(training(step=6))
    second = json.loads(lines_of(process, 1)[0])
    written.write(succeeded())
    code, stdout, _ = ended(process)

    (third,) = map(json.loads, stdout.splitlines())
    assert [one["status"]["stages"][1].get("step") for one in (first, second)] == [4, 6]
    assert third["status"]["phase"] == "Succeeded"
    assert {(one["apiVersion"], one["kind"]) for one in (first, second, third)} == {("paft.dev/v1alpha1", "PaftJob")}
    assert code == 0


def test_a_retry_that_was_asked_for_is_waited_for(paft: CommandLine, written: WrittenJobs) -> None:
    written.create(failed())
    assert paft("retry", "tiny").code == 0
    token = written.get()["metadata"]["annotations"]["paft.dev/retry"]

    process = paft.start("watch", "tiny")
    assert lines_of(process, 1) == ["tiny: Failed\n"]
    lines_of(process, 5)
    written.write(training(retry_token=token))
    assert lines_of(process, 1)[0].startswith("sft         Running")
    written.write(succeeded())

    code, stdout, _ = ended(process)
    assert code == 0
    assert stdout.startswith("preference  Running")


def test_ctrl_c_leaves_the_job_alone(paft: CommandLine, written: WrittenJobs) -> None:
    written.create(training())
    process = paft.start("watch", "tiny")
    lines_of(process, 8)

    process.send_signal(signal.SIGINT)

    assert ended(process) == (130, "The job goes on. To watch it again:\n  paft watch tiny\n", "")


def test_a_deleted_job_ends_with_1(paft: CommandLine, written: WrittenJobs) -> None:
    written.create(training())
    process = paft.start("watch", "tiny")
    lines_of(process, 8)

    written.delete()

    assert ended(process) == (1, "", "PaftJob tiny was deleted\n")


def test_a_broken_connection_is_made_again(paft: CommandLine, written: WrittenJobs, proxy: InterruptingProxy) -> None:
    written.create(training())
    process = paft.start("watch", "tiny")
    lines_of(process, 8)
    wait_until(lambda: proxy.watches == 1)

    proxy.is_down = True
    proxy.break_watches()
    (told,) = lines_of(process, 1)
    assert told.startswith("warning: the API server http://127.0.0.1:")
    assert told.endswith("; trying again\n")
    written.write(succeeded())
    proxy.is_down = False
    assert lines_of(process, 1) == ["warning: the API server answers again\n"]
    code, stdout, _ = ended(process)

    assert code == 0
    assert "merge succeeded\n" in stdout
    # What happened meanwhile is told by the watch, which went on from where it was.
    assert proxy.requests == ["list", "watch", "watch"]


def test_an_expired_watch_begins_with_a_new_list(
    paft: CommandLine, written: WrittenJobs, proxy: InterruptingProxy
) -> None:
    written.create(training())
    proxy.is_forgetful = True

    process = paft.start("watch", "tiny")
    assert lines_of(process, 8) == FIRST_LINES
    wait_until(lambda: proxy.requests == ["list", "watch", "list", "watch"])
    written.write(succeeded())
    code, stdout, stderr = ended(process)

    assert (code, stderr) == (0, "")
    assert "merge succeeded\n" in stdout


def test_a_terminal_shows_a_table_that_is_drawn_over(paft: CommandLine, written: WrittenJobs) -> None:
    written.create(training())
    screen, terminal = pty.openpty()
    os.set_blocking(screen, False)
    environment = paft.environment | {"TERM": "xterm", "COLUMNS": "120"}
    process = subprocess.Popen((*PAFT, "watch", "tiny"), env=environment, stdout=terminal, stderr=terminal)
    shown = ""

    def shows(text: str) -> bool:
        nonlocal shown
        try:
            shown += os.read(screen, 65536).decode()
        except BlockingIOError:
            return False
        return text in shown

    wait_until(lambda: shows("4/8"), seconds=30)
    written.write(training(step=7))
    wait_until(lambda: shows("7/8"), seconds=30)
    written.write(succeeded())
    wait_until(lambda: shows("s3://models/tiny-paft/"), seconds=30)

    assert process.wait(30) == 0
    assert "\x1b[1A" in shown  # the cursor went up, to draw over
    for descriptor in (screen, terminal):
        os.close(descriptor)
