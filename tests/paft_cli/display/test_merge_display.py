"""What people see while `paft merge` works."""

import io

import pytest
from rich.console import Console

from paft_api.report import Activity, Progress
from paft_cli.display.merge_display import MergeLines, merge_display_on, progress_line


def merging(step: int) -> Progress:
    return Progress(
        activity=Activity.MERGING, step=step, total_steps=290, bytes_per_second=412_000_000.0, eta_seconds=7.2
    )


@pytest.mark.parametrize(
    ("progress", "line"),
    [
        (merging(120), "merging 120/290 tensors, 412.0 MB/s, 7s left"),
        (Progress(activity=Activity.MERGING, step=0, total_steps=290), "merging 0/290 tensors"),
        (merging(290).model_copy(update={"activity": Activity.PUBLISHING}), "publishing 290/290 tensors"),
        (Progress(activity=Activity.WAITING_FOR_STORAGE), "waiting for storage"),
        (
            Progress(activity=Activity.WAITING_FOR_STORAGE, waiting_for="waiting for s3://x: SlowDown", step=3),
            "waiting for s3://x: SlowDown",
        ),
    ],
)
def test_a_line_has_what_is_known(progress: Progress, line: str) -> None:
    assert progress_line(progress) == line


def test_lines_come_every_five_seconds() -> None:
    lines: list[str] = []
    clock = iter([0.0, 1.0, 5.0, 7.0, 11.0])
    display = MergeLines(lines.append, clock=lambda: next(clock))
    for step in (1, 2, 3, 4):
        display.show(merging(step))
    assert [line.split()[1] for line in lines] == ["2/290", "4/290"]


def test_a_terminal_has_one_line_that_goes_at_the_end() -> None:
    terminal = io.StringIO()
    with merge_display_on(Console(file=terminal, force_terminal=True, width=80, color_system=None)) as display:
        for step in (1, 1, 2):
            display.show(merging(step))
    shown = terminal.getvalue()
    assert shown.count("merging 1/290 tensors, 412.0 MB/s, 7s left") == 1
    erase = "\x1b[2K"
    assert f"{erase}merging 2/290" in shown
    # Twice: once more when the display closes, and then it is erased.
    assert shown.rindex(erase) > shown.rindex("merging 2/290")
