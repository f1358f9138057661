"""`paft init` and `paft estimate`: their options. Commands import what they need when they run."""

from pathlib import Path
from typing import Annotated

import typer

from paft_cli.estimates.gpus import DEFAULT_GPU
from paft_cli.options import JobFile


def init(
    output: Annotated[Path, typer.Option(metavar="FILE", help="File to write.")] = Path("job.yaml"),
    base: Annotated[
        str | None,
        typer.Option(metavar="URI", help="Checkpoint to start from; its sizes are read.", show_default=False),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(metavar="SIZE", help="Size such as 7b or 70b, for a base that is not read.", show_default=False),
    ] = None,
    gpus: Annotated[int, typer.Option(min=0, max=1024, metavar="N", help="GPUs of each arm; 0 trains on CPU.")] = 8,
    gpu: Annotated[
        str, typer.Option(metavar="NAME", help="GPU whose memory counts, such as h100, a100 or l40s.")
    ] = DEFAULT_GPU,
    max_length: Annotated[int, typer.Option(min=8, max=1_048_576, metavar="N", help="Tokens of a row.")] = 2048,
    name: Annotated[str, typer.Option(metavar="NAME", help="Name of the job.")] = "paft-job",
    artifacts: Annotated[str, typer.Option(metavar="URI", help="Folder of checkpoints.")] = "s3://paft/my-job/",
    sft: Annotated[str | None, typer.Option(metavar="URI", help="Chats for the SFT arm.", show_default=False)] = None,
    preference: Annotated[
        str | None, typer.Option(metavar="URI", help="Pairs for the preference arm.", show_default=False)
    ] = None,
    result: Annotated[str, typer.Option(metavar="URI", help="Folder of the result.")] = "s3://models/my-paft-model/",
    endpoint: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Address of an S3-compatible server. Default: AWS.", show_default=False),
    ] = None,
    schema: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Schema that editors read. Default: a file in paft's own folder, which is written.",
            show_default=False,
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
) -> None:
    """Write a job file with comments, with passes that fit into the GPUs' memory by `paft estimate`.

    Never replaces a file without --force. Exits with 2 where the base is not known.
    """
    from paft_cli.commands.init import InitArguments, init_job

    init_job(
        InitArguments(
            output=output,
            base=base,
            model=model,
            gpus=gpus,
            gpu=gpu,
            max_length=max_length,
            name=name,
            artifacts=artifacts,
            sft=sft,
            preference=preference,
            result=result,
            endpoint=endpoint,
            schema=schema,
            force=force,
        )
    )


def estimate(
    file: JobFile,
    gpu: Annotated[
        str, typer.Option(metavar="NAME", help="GPU whose memory and rate count, such as h100, a100 or l40s.")
    ] = DEFAULT_GPU,
    mfu: Annotated[
        float, typer.Option(min=0.01, max=1, metavar="SHARE", help="Share of the GPU's peak rate that is reached.")
    ] = 0.35,
    flops: Annotated[
        float | None,
        typer.Option(
            min=1, metavar="N", help="Operations per second of one process, instead of --mfu.", show_default=False
        ),
    ] = None,
    tokens: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[ARM=]N",
            help="Tokens of an epoch, such as sft=50M. Default: a sample of the rows tells.",
            show_default=False,
        ),
    ] = None,
    rows: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[ARM=]N",
            help="Rows that have these tokens. Default: as few as maxLength allows.",
            show_default=False,
        ),
    ] = None,
    sample: Annotated[
        int, typer.Option(min=2, metavar="N", help="Rows of each arm that are counted in tokens.")
    ] = 1000,
    json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
) -> None:
    """Tell what a job needs, without running it: memory of each process, time, GPU-hours and bytes of object storage.

    Reads the base's config.json and headers, and the rows; writes nothing. Exits with 0 where both arms fit, 1 where
    one does not or object storage does not answer, and 2 for a file, base or data that cannot be used.
    """
    from paft_cli.commands.estimate import EstimateArguments, show_estimate

    arguments = EstimateArguments(
        gpu=gpu, mfu=mfu, flops=flops, tokens=tuple(tokens or ()), rows=tuple(rows or ()), sample=sample
    )
    raise typer.Exit(show_estimate(file, arguments, as_json=json))
