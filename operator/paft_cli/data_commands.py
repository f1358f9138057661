"""`paft data …`: the command line of its command."""

from pathlib import Path
from typing import Annotated

import typer

from paft_api.stages import StageName
from paft_cli.errors import CommandError
from paft_cli.options import JobFile

app = typer.Typer(name="data", no_args_is_help=True, help="Look at the rows that a job trains on.")


@app.callback()
def data() -> None:
    """Look at the rows that a job trains on."""


@app.command()
def preview(
    file: JobFile,
    arm: Annotated[
        str | None, typer.Option(metavar="sft|preference", help="Only this arm. Default: both.", show_default=False)
    ] = None,
    source: Annotated[
        int | None,
        typer.Option(min=0, metavar="N", help="Only the source number N, from 0. Default: all.", show_default=False),
    ] = None,
    evaluation: Annotated[bool, typer.Option("--eval", help="Evaluation rows instead of training rows.")] = False,
    rows: Annotated[int, typer.Option(min=0, metavar="N", help="Rows of each source that are shown.")] = 2,
    count: Annotated[
        int, typer.Option(min=1, metavar="N", help="Rows of each source that are counted, the first ones.")
    ] = 10_000,
    json: Annotated[bool, typer.Option("--json", help="Print it as JSON, with the tokens of each row.")] = False,
) -> None:
    """Show rows as tokens: what is learnt, what is only context, and what is lost to maxLength; and how long rows are.

    Reads the base's tokenizer and the rows where they are; writes nothing. Exits with 2 for a file, base or row that
    cannot be used, and with 1 where object storage does not answer.
    """
    from paft_cli.commands.preview import PreviewArguments, show_preview

    show_preview(
        Path(file),
        PreviewArguments(arm=_arm(arm), source=source, evaluation=evaluation, rows=rows, count=count),
        as_json=json,
    )


def _arm(name: str | None) -> StageName | None:
    if name is None or name in (StageName.SFT, StageName.PREFERENCE):
        return None if name is None else StageName(name)
    raise CommandError(f"--arm {name!r} is no arm; use sft or preference")
