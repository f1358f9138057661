"""The `paft` command line. Commands import what they need when they run, so that help is quick."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from paft_api.stages import StageName

app = typer.Typer(
    name="paft",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Train a sparse SFT adapter and a preference adapter in parallel, and merge them into one checkpoint.",
)

JobFile = Annotated[Path, typer.Argument(metavar="FILE", help="YAML file with a PaftJob.", show_default=False)]
OptionalJobFile = Annotated[
    Path | None,
    typer.Argument(
        metavar="[FILE]", help="YAML file of the job. Default: the only job that was run here.", show_default=False
    ),
]


class Output(StrEnum):
    """For people or for programs."""

    TEXT = "text"
    JSON = "json"


class Method(StrEnum):
    """Merge methods; the contract's MergeMethod, which is not imported for help."""

    LINEAR = "linear"
    TASK_ARITHMETIC = "task_arithmetic"
    TIES = "ties"


OutputOption = Annotated[
    Output, typer.Option("--output", "-o", metavar="text|json", help="Form of what is printed to stdout.")
]


@app.command()
def validate(file: JobFile) -> None:
    """Check a job file without touching data, storage or GPUs. Exits with 2 and all errors where it is wrong."""
    from paft_cli.commands.validate import validate as command

    command(file)


@app.command()
def plan(file: JobFile, output: OutputOption = Output.TEXT) -> None:
    """Show what `paft run` would do on this machine, with every default worked out. Starts nothing."""
    from paft_cli.commands.plan import show_plan

    show_plan(file, output=output)


@app.command()
def run(file: JobFile, output: OutputOption = Output.TEXT) -> None:
    """Run a job on this machine: prepare, both arms in parallel, merge. Run it again to continue.

    Exits with 0 when the checkpoint is published, 1 when the job failed, 2 for a bad job file, and 130 or 143 when
    it was stopped; arms save before they stop. A second Ctrl-C does not wait for them.
    """
    from paft_cli.commands.run import run as command

    raise typer.Exit(command(file, output=output))


@app.command()
def status(file: OptionalJobFile = None, output: OutputOption = Output.TEXT) -> None:
    """Show where a job is."""
    from paft_cli.commands.status import show_status

    show_status(file, output=output)


@app.command()
def logs(
    stage: Annotated[StageName, typer.Argument(metavar="STAGE", help="prepare, sft, preference or merge.")],
    file: OptionalJobFile = None,
    attempt: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Number of the attempt. Default: the newest.", show_default=False),
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the attempt has ended.")] = False,
) -> None:
    """Print the log of a stage. Logs of failed attempts are kept."""
    from paft_cli.commands.logs import show_logs

    show_logs(stage, file, attempt=attempt, follow=follow)


@app.command()
def merge(
    base: Annotated[str, typer.Option(metavar="URI", help="Checkpoint that both adapters were trained on.")],
    adapter: Annotated[
        list[str], typer.Option(metavar="ARM=URI", help="sft=URI and preference=URI: PEFT adapter folders.")
    ],
    output: Annotated[str, typer.Option(metavar="URI", help="Empty folder for the fused checkpoint.")],
    method: Annotated[
        Method, typer.Option(metavar="linear|task_arithmetic|ties", help="How the two ΔW of a module become one.")
    ] = Method.TIES,
    density: Annotated[
        float | None,
        typer.Option(
            metavar="D", help="ties: share of each module's ΔW that is kept, 0 to 1. Default: 0.5.", show_default=False
        ),
    ] = None,
    weight: Annotated[
        list[str] | None,
        typer.Option(metavar="ARM=X", help="Factor of an arm, as in sft=0.7. Default: 1.0 each.", show_default=False),
    ] = None,
    max_shard_size: Annotated[
        str, typer.Option(metavar="SIZE", help="Largest safetensors file, such as 500MB or 5GB.")
    ] = "5GB",
    endpoint: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Address of an S3-compatible server. Default: AWS.", show_default=False),
    ] = None,
    region: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Region of the buckets. Default: the environment's.", show_default=False),
    ] = None,
) -> None:
    """Merge two adapters into their base, without a job.

    URI is s3://bucket/folder/ or a local path. Credentials come from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.
    An interrupted merge is continued by the same command.
    """
    from paft_cli.commands.merge import MergeArguments, merge_adapters

    arguments = MergeArguments(
        base=base,
        adapters=tuple(adapter),
        output=output,
        method=method,
        density=density,
        weights=tuple(weight or ()),
        max_shard_size=max_shard_size,
        endpoint=endpoint,
        region=region,
    )
    raise typer.Exit(merge_adapters(arguments))
