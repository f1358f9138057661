"""What people see while a job runs."""

import io

from rich.console import Console

from paft_api.causes import Cause
from paft_api.stages import StageName
from paft_api.status import PaftJobStatus, StageState, StageStatus
from paft_cli.display.live_display import LiveDisplay
from paft_cli.display.plain_display import PlainDisplay
from paft_cli.tables import format_bytes
from paft_operator.planner.actions import Event


def at_step(step: int) -> PaftJobStatus:
    sft = StageStatus(
        name=StageName.SFT,
        state=StageState.RUNNING,
        attempt=1,
        progress=f"{step}/900",
        loss="1.43",
        sparsity="0.91",
        tokens_per_second="812",
        eta="1h12m",
        message="Training",
    )
    preference = StageStatus(
        name=StageName.PREFERENCE,
        state=StageState.WAITING,
        attempt=2,
        reward_margin="0.4",
        cause=Cause.HOST_OOM,
        message="rank 1 was killed",
    )
    return PaftJobStatus(stages=(sft, preference))


def test_plain_lines_come_only_with_news_and_not_too_often() -> None:
    lines: list[str] = []
    clock = iter([0.0, 1.0, 6.0, 20.0])
    display = PlainDisplay(lines.append, clock=lambda: next(clock))
    for step in (1, 2, 3, 3):
        display.show(at_step(step))
    display.tell(Event(type="Warning", reason="SftFailed", message="sft attempt 1 failed"))
    assert lines == [
        "sft         Running    step 1/900  loss 1.43  sparsity 0.91  812 tokens/s  ETA 1h12m  Training",
        "sft         Running    step 3/900  loss 1.43  sparsity 0.91  812 tokens/s  ETA 1h12m  Training",
        "warning: sft attempt 1 failed",
    ]


def test_plain_lines_tell_what_a_stage_without_steps_waits_for() -> None:
    lines: list[str] = []
    display = PlainDisplay(lines.append, clock=iter([0.0, 6.0, 12.0]).__next__)
    for message in ("Checking", "waiting for the object store: s3://x: SlowDown", "Checking"):
        prepare = StageStatus(name=StageName.PREPARE, state=StageState.RUNNING, attempt=1, message=message)
        display.show(PaftJobStatus(stages=(prepare,)))

    assert lines == ["prepare     Running    waiting for the object store: s3://x: SlowDown"]


def test_the_live_table_shows_both_arms_and_events_above_it() -> None:
    terminal = io.StringIO()
    console = Console(file=terminal, force_terminal=True, width=140, color_system=None)
    with LiveDisplay(console) as display:
        display.show(at_step(120))
        display.tell(Event(type="Normal", reason="SftStarted", message="sft attempt 1 started"))
    lines = [line.split() for line in terminal.getvalue().splitlines()]
    assert "sft attempt 1 started\n" in terminal.getvalue()
    assert ["sft", "Running", "1", "120/900", "1.43", "0.91", "812", "1h12m", "Training"] in lines
    assert ["preference", "Waiting", "2", "0.4", "HostOOM:", "rank", "1", "was", "killed"] in lines


def test_bytes_are_in_decimal_units() -> None:
    assert [format_bytes(count) for count in (999, 1000, 999_960, 14_483_464_192)] == [
        "999 B",
        "1.0 kB",
        "1.0 MB",
        "14.5 GB",
    ]
