"""`paft run` from begin to end, with played stages."""

import json
from pathlib import Path

import pytest
from tests.paft_cli.workplace import PLAYER_COMMAND, Workplace

from paft_api.causes import Cause
from paft_api.stages import StageName
from paft_api.status import Phase, StageState
from paft_cli.commands.run import run
from paft_cli.errors import CommandError
from paft_cli.local.machine import Machine


def test_a_job_runs_to_its_end_and_later_runs_do_only_what_has_changed(
    workplace: Workplace, capsys: pytest.CaptureFixture[str]
) -> None:
    assert workplace.run() == 0
    first = capsys.readouterr().out
    assert f"Succeeded\n  output              file://{workplace.path}/output/\n" in first
    assert "ties, 2.5 MB, sha256:" in first
    assert sorted(workplace.starts()) == [("merge", 1, 0), ("preference", 1, 0), ("prepare", 1, 0), ("sft", 1, 0)]
    uid = json.loads(workplace.job.job_file.read_text())["job"]["metadata"]["uid"]

    assert workplace.run() == 0
    assert workplace.starts()[4:] == [("prepare", 2, 0), ("merge", 2, 0)]
    metadata = json.loads(workplace.job.job_file.read_text())["job"]["metadata"]
    assert (metadata["uid"], metadata["generation"]) == (uid, 2)
    assert "sft succeeded: found finished" in capsys.readouterr().out

    workplace.change(lambda spec: spec["sft"]["training"].update(learningRate=1.0e-3))
    assert workplace.run() == 0
    assert [start[:2] for start in workplace.starts()[6:]] == [("prepare", 3), ("sft", 2), ("merge", 3)]


@pytest.mark.parametrize(
    ("devices", "order"),
    [
        ((0,), "one after the other, for there are fewer GPUs than both ask for together"),
        ((0, 1), "both at the same time"),
    ],
)
def test_arms_share_gpus_or_run_one_after_the_other(
    devices: tuple[int, ...],
    order: str,
    workplace: Workplace,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("paft_cli.commands.run.this_machine", lambda _: Machine(cpus=2, cuda_devices=devices))
    for arm in ("sft", "preference"):
        workplace.change(lambda spec, arm=arm: spec[arm].update(resources={"gpusPerNode": 1}))
    assert workplace.run() == 0
    assert f"arms: {order}\n" in capsys.readouterr().out
    sft, preference = (workplace.status.stage(arm) for arm in (StageName.SFT, StageName.PREFERENCE))
    assert sft.finished_at is not None
    assert preference.started_at is not None
    assert (preference.started_at >= sft.finished_at) == (len(devices) == 1)


def test_a_permanent_failure_names_cause_remedy_and_log(
    workplace: Workplace, capsys: pytest.CaptureFixture[str]
) -> None:
    workplace.script(sft_fail="1:DataInvalid", preference_seconds="0.2")
    assert workplace.run() == 1
    log = workplace.job.path / "attempts" / "sft-1" / "log.txt"
    assert capsys.readouterr().err == (
        f"Failed: sft attempt 1: DataInvalid: as scripted\n  Mend the data file at the place named.\n  log: {log}\n"
    )
    assert workplace.status.phase is Phase.FAILED
    assert workplace.status.stage(StageName.PREFERENCE).state is StageState.STOPPED


def test_a_retryable_failure_is_tried_again_up_to_the_limit(
    workplace: Workplace, capsys: pytest.CaptureFixture[str]
) -> None:
    workplace.change(lambda spec: spec.update(runPolicy={"backoffLimit": 1}))
    workplace.script(sft_fail="1:HostOOM 2:HostOOM 3:HostOOM")
    assert workplace.run() == 1
    assert "Failed: sft attempt 2 (the last of 2 that failed): HostOOM: as scripted" in capsys.readouterr().err
    assert [start for start in workplace.starts() if start[0] == "preference"] == [("preference", 1, 0)]
    assert workplace.status.stage(StageName.SFT).cause is Cause.HOST_OOM


def test_everything_that_prepare_finds_is_printed(workplace: Workplace, capsys: pytest.CaptureFixture[str]) -> None:
    workplace.script(prepare_fail="1:DataInvalid")
    assert workplace.run() == 1
    assert (
        "Failed: prepare found 1 thing to mend:\n  spec.base.uri: DataInvalid: it is not there\n    Upload it.\n"
        in (capsys.readouterr().err)
    )
    assert [stage for stage, _, _ in workplace.starts()] == ["prepare"]


def test_a_job_that_failed_is_judged_anew_by_the_next_run(workplace: Workplace) -> None:
    workplace.script(prepare_fail="1:DataInvalid 2:DataInvalid")
    assert workplace.run() == 1
    assert workplace.run() == 1
    assert workplace.starts() == [("prepare", 1, 0), ("prepare", 2, 0)]
    assert workplace.status.observed_generation == 2


def test_stages_get_the_jobs_environment_and_the_user_a_word_about_its_secret(
    workplace: Workplace, capsys: pytest.CaptureFixture[str]
) -> None:
    workplace.change(lambda spec: spec.update(trainer={"env": [{"name": "FROM_JOB", "value": "hello"}]}))
    workplace.change(lambda spec: spec["storage"].update(secretRef={"name": "s3"}))
    workplace.script(prepare_fail="1:DataInvalid")
    assert workplace.run() == 1
    assert (workplace.player / "started").read_text().endswith(" hello\n")
    assert "storage.secretRef s3 is a Secret in clusters; here it is the profile" in capsys.readouterr().out


def test_a_suspended_job_is_refused(workplace: Workplace) -> None:
    workplace.change(lambda spec: spec.update(runPolicy={"suspend": True}))
    with pytest.raises(CommandError, match="spec.runPolicy.suspend is true: nothing would run"):
        workplace.run()
    assert not workplace.job.path.exists()


def test_json_is_all_that_goes_to_stdout(workplace: Workplace, capsys: pytest.CaptureFixture[str]) -> None:
    workplace.script(prepare_fail="1:DataInvalid")
    assert run(Path("job.yaml"), output="json", trainer_command=PLAYER_COMMAND) == 1
    captured = capsys.readouterr()
    document = json.loads(captured.out)
    assert (document["kind"], document["metadata"]["name"]) == ("PaftJob", "played")
    assert document["status"]["phase"] == "Failed"
    assert "prepare attempt 1 started" in captured.err


def test_a_launcher_that_cannot_start_is_a_failure_with_its_last_words(
    workplace: Workplace, capsys: pytest.CaptureFixture[str]
) -> None:
    workplace.change(lambda spec: spec.update(runPolicy={"backoffLimit": 0}))
    broken = (*PLAYER_COMMAND[:1], "-c", "raise RuntimeError('no trainer here')")
    assert run(Path("job.yaml"), output="text", trainer_command=broken) == 1
    assert (
        "Failed: prepare attempt 1: Unknown: the launcher ended with exit code 1 and without a message; "
        "its last line was: RuntimeError: no trainer here" in capsys.readouterr().err
    )
