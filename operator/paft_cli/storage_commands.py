"""`paft storage …`: the command lines of its two commands."""

from typing import Annotated

import typer

from paft_cli.errors import CommandError
from paft_cli.options import ContextOption, Output, OutputOption
from paft_cli.targets import ClusterOptions

app = typer.Typer(
    name="storage",
    no_args_is_help=True,
    help="Show what jobs have left in object storage, and remove what is proven to be of no use.",
)

Target = Annotated[
    str,
    typer.Argument(
        metavar="FILE|URI",
        help="YAML file of a job; or its artifactsUri or merge.output.uri: s3://bucket/folder/ or a local path.",
        show_default=False,
    ),
]
EndedOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="UID",
        help="Take your word that all attempts of this job are over, although storage does not prove it. Several times "
        "for several jobs.",
        show_default=False,
    ),
]
ClusterOption = Annotated[
    bool,
    typer.Option(
        "--cluster",
        help="Ask the cluster about attempts in pods that storage does not prove to be over. Without a pod they are "
        "over once their PaftJob has ended, is gone, or has begun a later attempt. Only where all jobs that write "
        "there run in this cluster: those of another one would count as gone.",
    ),
]
EndpointOption = Annotated[
    str | None,
    typer.Option(
        metavar="URL", help="With a URI: address of an S3-compatible server. Default: AWS.", show_default=False
    ),
]
RegionOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME", help="With a URI: region of the buckets. Default: the environment's.", show_default=False
    ),
]


@app.command("ls")
def list_(
    target: Target,
    ended: EndedOption = None,
    cluster: ClusterOption = False,
    context: ContextOption = None,
    endpoint: EndpointOption = None,
    region: RegionOption = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """List arms and outputs with their state, attempts, checkpoints and unfinished uploads. Changes nothing.

    A state is Finished, InProgress (an attempt is not proven to be over), Abandoned (all are over, without a result) or
    Unknown. Exits with 1 where the store cannot be read.
    """
    from paft_cli.commands.storage import StorageArguments, list_storage

    arguments = StorageArguments(
        target=target, ended=tuple(ended or ()), cluster=_cluster(cluster, context), endpoint=endpoint, region=region
    )
    raise typer.Exit(list_storage(arguments, output=output))


@app.command("gc")
def collect(
    target: Target,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Change nothing: tell what would be removed, and why.")
    ] = False,
    index: Annotated[
        bool,
        typer.Option(
            "--index",
            help="Remove digests of bases and data, too, unless an attempt is in progress; jobs then read them anew.",
        ),
    ] = False,
    ended: EndedOption = None,
    cluster: ClusterOption = False,
    context: ContextOption = None,
    endpoint: EndpointOption = None,
    region: RegionOption = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Remove what attempts have left: unfinished uploads, torn and superseded checkpoints, copies, markers.

    Nothing is guessed: what goes is proven to be PAFT's by a claim or an attempt's marker, and to be of no use by a
    result, or by the end of its attempt. What the next attempt resumes from stays. Exits with 1 where the store fails;
    running it again goes on.
    """
    from paft_cli.commands.storage import StorageArguments, collect_garbage

    arguments = StorageArguments(
        target=target,
        ended=tuple(ended or ()),
        cluster=_cluster(cluster, context),
        endpoint=endpoint,
        region=region,
        index=index,
    )
    raise typer.Exit(collect_garbage(arguments, dry_run=dry_run, output=output))


def _cluster(asked: bool, context: str | None) -> ClusterOptions | None:
    if context is not None and not asked:
        raise CommandError("--context is for --cluster")
    return ClusterOptions(context=context) if asked else None
