"""The display that fits where the output goes."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console

from paft_cli.display.live_display import LiveDisplay
from paft_cli.display.plain_display import PlainDisplay
from paft_cli.local.executor import Display


@contextmanager
def display_on(console: Console) -> Iterator[Display]:
    """A table on a terminal, lines elsewhere."""
    if is_live(console):
        with LiveDisplay(console) as display:
            yield display
    else:
        yield PlainDisplay(lambda line: print(line, file=console.file, flush=True))


def is_live(console: Console) -> bool:
    """Whether what was printed can be drawn over."""
    return console.is_terminal and not console.is_dumb_terminal
