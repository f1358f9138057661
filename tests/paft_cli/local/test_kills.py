"""Whatever is killed, and whenever: started again, the job goes on, and no attempt is played twice at once."""

import os
import random
import signal
import subprocess

import pytest
from tests.paft_cli.workplace import Workplace, end, is_alive, wait_until

from paft_api.stages import StageName
from paft_api.status import ConditionType, Phase, StageState


def test_a_killed_launcher_is_replaced_alone_and_goes_on_from_its_checkpoint(
    workplace: Workplace, capfd: pytest.CaptureFixture[str]
) -> None:
    workplace.script(sft_seconds="0.1", preference_seconds="0.15")
    process = workplace.start_run()
    workplace.wait_for_checkpoint("sft")
    os.kill(workplace.process_of("sft", 1), signal.SIGKILL)
    stdout, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "warning: sft attempt 1 failed: Unknown: the launcher ended without a word: killed by SIGKILL" in stdout
    (resumed,) = [step for stage, attempt, step in workplace.starts() if (stage, attempt) == ("sft", 2)]
    assert resumed >= 2
    assert [attempt for stage, attempt, _ in workplace.starts() if stage == "preference"] == [1]
    assert workplace.job.attempt(StageName.SFT, 1).log_file.read_text().startswith("playing sft")


def test_a_killed_run_leaves_nothing_running_and_the_next_one_goes_on(workplace: Workplace) -> None:
    workplace.script(sft_seconds="0.1", preference_seconds="0.1")
    process = workplace.start_run()
    workplace.wait_for_checkpoint("sft")
    players = [workplace.process_of(arm, 1) for arm in ("sft", "preference")]
    end(process, signal.SIGKILL)
    wait_until(lambda: not any(is_alive(pid) for pid in players))
    assert workplace.run() == 0
    assert workplace.status.observed_generation == 1
    assert workplace.status.stage(StageName.SFT).failures == 0
    (resumed,) = [step for stage, attempt, step in workplace.starts() if (stage, attempt) == ("sft", 2)]
    assert resumed >= 2


def test_what_still_saves_after_a_kill_is_waited_for(workplace: Workplace) -> None:
    workplace.script(sft_seconds="0.1", preference_seconds="0.1", sft_save="1.0", preference_save="1.0")
    process = workplace.start_run()
    workplace.wait_for_checkpoint("sft")
    end(process, signal.SIGKILL)
    assert is_alive(workplace.process_of("sft", 1))
    assert workplace.run() == 0
    assert workplace.overlaps() == ""
    assert [start[:2] for start in workplace.starts() if start[0] == "sft"] == [("sft", 1), ("sft", 2)]


def test_kills_at_any_moment_end_in_success(workplace: Workplace) -> None:
    moments = random.Random(3)
    workplace.script(sft_seconds="0.03", preference_seconds="0.03")
    for _ in range(5):
        process = workplace.start_run()
        try:
            process.communicate(timeout=moments.uniform(0.2, 1.0))
        except subprocess.TimeoutExpired:
            end(process, signal.SIGKILL)
    assert workplace.run() == 0
    assert workplace.overlaps() == ""
    assert workplace.status.phase is Phase.SUCCEEDED


def test_ctrl_c_lets_the_arms_save_and_says_how_to_go_on(workplace: Workplace) -> None:
    workplace.script(sft_seconds="0.1", preference_seconds="0.1", sft_save="0.3")
    process = workplace.start_run()
    workplace.wait_for_checkpoint("sft")
    code, stdout, _ = end(process, signal.SIGINT)
    assert code == 130
    assert stdout.endswith(" stopped after saving\nStopped. To continue:\n  paft run job.yaml\n")
    assert workplace.status.stage(StageName.SFT).state is StageState.STOPPED
    suspended = workplace.status.condition(ConditionType.SUSPENDED)
    assert suspended is not None
    assert suspended.message == "paft run was stopped; running it again continues."
    assert workplace.run() == 0
    assert workplace.status.stage(StageName.SFT).failures == 0


def test_sigterm_stops_too_and_a_second_signal_does_not_wait(workplace: Workplace) -> None:
    workplace.script(sft_seconds="0.1", preference_seconds="0.1", sft_save="30")
    process = workplace.start_run()
    workplace.wait_for_checkpoint("sft")
    player = workplace.process_of("sft", 1)
    os.kill(process.pid, signal.SIGTERM)
    wait_until((workplace.job.path / "attempts" / "sft-1" / "stop.json").exists)
    assert is_alive(player)
    code, _, _ = end(process, signal.SIGTERM)
    assert code == 143
    wait_until(lambda: not is_alive(player))


def test_two_runs_of_one_job_do_not_mix(workplace: Workplace) -> None:
    workplace.script(sft_seconds="0.1")
    process = workplace.start_run()
    workplace.process_of("prepare", 1)
    second = workplace.start_run()
    _, stderr = second.communicate(timeout=30)
    assert second.returncode == 2
    assert stderr == (
        f"another paft run (pid {process.pid}) is working on job played; wait for it, or stop it with Ctrl-C\n"
    )
    end(process, signal.SIGKILL)


def test_an_attempt_that_was_decided_on_but_never_began_is_begun(workplace: Workplace) -> None:
    folder = workplace.job.path / "attempts" / "prepare-1"
    folder.mkdir(parents=True)
    (folder / "run_spec.json").write_text("{}")
    (folder / "lock").touch()
    workplace.script(prepare_fail="1:DataInvalid")
    assert workplace.run() == 1
    assert workplace.starts() == [("prepare", 1, 0)]
