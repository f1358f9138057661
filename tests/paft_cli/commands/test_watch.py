"""`paft watch FILE`: a job on this machine, from its files."""

import signal
from pathlib import Path

import pytest
from tests.paft_cli.workplace import Workplace, end, wait_until

from paft_cli.commands.watch import watch
from paft_cli.errors import CommandError
from paft_cli.targets import LocalTarget

JOB = LocalTarget(Path("job.yaml"))


def test_a_run_is_watched_to_its_end(workplace: Workplace, capfd: pytest.CaptureFixture[str]) -> None:
    workplace.script(sft_seconds="0.1", preference_seconds="0.1")
    process = workplace.start_run()
    wait_until(lambda: workplace.job.job_file.is_file())

    assert watch(JOB, output="text") == 0

    out, err = capfd.readouterr()
    process.communicate(timeout=30)
    assert (process.returncode, err) == (0, "")
    assert out.startswith("played: ")
    assert "\nmerge succeeded\n" in out
    assert f"\n  output              file://{workplace.path}/output/\n" in out


def test_a_run_that_has_failed_ends_with_1_and_what_to_do_next(
    workplace: Workplace, capfd: pytest.CaptureFixture[str]
) -> None:
    workplace.script(sft_fail="1:DataInvalid")
    assert workplace.run() == 1
    capfd.readouterr()

    assert watch(JOB, output="json") == 1

    out, err = capfd.readouterr()
    assert out.count("\n") == 1
    assert err.startswith("Failed: sft attempt 1: DataInvalid: as scripted")
    assert err.endswith(
        "  log: paft logs sft job.yaml --attempt 1\nTo try again, once it is mended:\n  paft run job.yaml\n"
    )


def test_a_job_that_nobody_runs_any_more_is_not_watched(workplace: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("paft_cli.local.job_watch._PATIENCE_SECONDS", 0.5)
    workplace.script(prepare_seconds="30")
    process = workplace.start_run()
    workplace.process_of("prepare", 1)
    end(process, signal.SIGKILL)

    with pytest.raises(CommandError, match=r"No paft run is working on this job(.|\n)*paft run .*job\.yaml"):
        watch(LocalTarget(None), output="text")
