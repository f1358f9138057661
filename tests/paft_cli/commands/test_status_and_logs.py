"""`paft status` and `paft logs`."""

import json
import re
import signal
from pathlib import Path

import pytest
from tests.paft_cli.workplace import Workplace, end

from paft_api.stages import StageName
from paft_api.status import PaftJobStatus
from paft_cli.commands.logs import show_logs
from paft_cli.commands.status import show_status
from paft_cli.errors import CommandError


def test_a_finished_job(workplace: Workplace, capfd: pytest.CaptureFixture[str]) -> None:
    workplace.script(sft_fail="1:HostOOM")
    assert workplace.run() == 0
    capfd.readouterr()

    show_status(None, output="text")
    told = capfd.readouterr().out.splitlines()
    assert [re.sub(r" +([0-9]+%|GOODPUT)$", "", line) for line in told[:6]] == [
        "played: Succeeded",
        "STAGE       STATE      ATTEMPT  STEP  LOSS   MARGIN  TOKENS/S",
        "prepare     Succeeded  1",
        "sft         Succeeded  2        7/8   1.125          100",
        "preference  Succeeded  1        7/8   1.125  0.875   100",
        "merge       Succeeded  1",
    ]
    # The pause before the second attempt alone takes a second; stages here tell of no time of their own.
    assert [line for line in told if re.fullmatch("sft time: queue [0-9]+s(, load [0-9]+s)?(, save [0-9]+s)?", line)]
    assert told[-1] == f"output: file://{workplace.path}/output/ (ties, 2.5 MB)"
    show_status(Path("job.yaml"), output="json")
    document = json.loads(capfd.readouterr().out)
    assert (document["kind"], document["status"]["phase"]) == ("PaftJob", "Succeeded")
    for stage in PaftJobStatus.model_validate_json(json.dumps(document["status"])).stages:
        assert stage.time is not None
        assert stage.time.until == stage.finished_at
        assert stage.time.total == round((stage.time.until - stage.time.since).total_seconds())

    show_logs(StageName.SFT, None, attempt=None, follow=False)
    show_logs(StageName.SFT, Path("job.yaml"), attempt=1, follow=True)
    assert capfd.readouterr().out == "playing sft, attempt 2\nplaying sft, attempt 1\n"
    with pytest.raises(CommandError, match="sft of job played has no attempt 7; there are: 1, 2"):
        show_logs(StageName.SFT, None, attempt=7, follow=False)


def test_a_killed_job_names_the_command_that_continues(
    workplace: Workplace, capsys: pytest.CaptureFixture[str]
) -> None:
    workplace.script(prepare_seconds="30")
    process = workplace.start_run()
    workplace.process_of("prepare", 1)
    show_status(None, output="text")
    assert "No paft run" not in capsys.readouterr().out
    end(process, signal.SIGKILL)
    show_status(None, output="text")
    assert capsys.readouterr().out.endswith(
        f"No paft run is working on this job. To continue:\n  paft run {workplace.path}/job.yaml\n"
    )
    with pytest.raises(CommandError, match="merge of job played has no log: it was never started here"):
        show_logs(StageName.MERGE, None, attempt=None, follow=False)


def test_without_a_job_or_with_several_the_file_is_asked_for(workplace: Workplace) -> None:
    with pytest.raises(CommandError, match="no job was ever run here"):
        show_status(None, output="text")
    with pytest.raises(CommandError, match="job.yaml was never run here"):
        show_status(Path("job.yaml"), output="text")
    for name in ("one", "two"):
        folder = workplace.path / ".paft" / "jobs" / name
        folder.mkdir(parents=True)
        (folder / "job.json").write_text("{}")
    with pytest.raises(CommandError, match=r"several jobs were run here \(one, two\): name the job's file too"):
        show_status(None, output="text")
