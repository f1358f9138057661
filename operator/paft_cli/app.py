"""The `paft` command line. Commands import what they need when they run, so that help is quick."""

from typing import Annotated

import typer

from paft_api.stages import StageName
from paft_cli import before_run_commands, data_commands, storage_commands
from paft_cli import merge_flags as flags
from paft_cli.errors import CommandError
from paft_cli.options import (
    ContextOption,
    JobFile,
    JobName,
    NamespaceOption,
    OptionalJob,
    Output,
    OutputOption,
)

app = typer.Typer(
    name="paft",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Train a sparse SFT adapter and a preference adapter in parallel, and merge them into one checkpoint.",
)


app.command()(before_run_commands.init)


@app.command()
def validate(
    file: JobFile,
    deep: Annotated[
        bool,
        typer.Option("--deep", help="Read base, rows and output folder, too, as prepare does; nothing is written."),
    ] = False,
) -> None:
    """Check a job file without touching data, storage or GPUs. Exits with 2 and all errors where it is wrong.

    With --deep also check what it names: that the base opens, its modules are there, every row has its form, something
    is left to learn within maxLength, batches are filled and the output's folder is free. Exits with 1 where object
    storage does not answer.
    """
    if deep:
        from paft_cli.commands.deep_validation import validate_deeply

        raise typer.Exit(validate_deeply(file))
    from paft_cli.commands.validate import validate as command

    command(file)


@app.command()
def plan(file: JobFile, output: OutputOption = Output.TEXT) -> None:
    """Show what `paft run` would do on this machine, with every default worked out. Starts nothing."""
    from paft_cli.commands.plan import show_plan

    show_plan(file, output=output)


app.command()(before_run_commands.estimate)


@app.command()
def run(file: JobFile, output: OutputOption = Output.TEXT) -> None:
    """Run a job on this machine: prepare, both arms in parallel, merge. Run it again to continue.

    Exits with 0 when the checkpoint is published, 1 when the job failed, 2 for a bad job file, and 130 or 143 when
    it was stopped; arms save before they stop. A second Ctrl-C does not wait for them.
    """
    from paft_cli.commands.run import run as command

    raise typer.Exit(command(file, output=output))


@app.command()
def submit(
    file: JobFile,
    namespace: NamespaceOption = None,
    context: ContextOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Let the API server check it, and store nothing.")] = False,
    force_conflicts: Annotated[
        bool, typer.Option("--force-conflicts", help="Take over fields that somebody else has set.")
    ] = False,
    output: OutputOption = Output.TEXT,
) -> None:
    """Check a job file, then apply it to the cluster of the current context. Submit it again to change the job.

    Exits with 2 and all errors where the file is wrong or the cluster refuses it.
    """
    from paft_cli.commands.submit import submit as command
    from paft_cli.targets import ClusterOptions

    options = ClusterOptions(namespace=namespace, context=context)
    command(file, options, dry_run=dry_run, force=force_conflicts, output=output)


@app.command()
def status(
    job: OptionalJob = None,
    namespace: NamespaceOption = None,
    context: ContextOption = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Show where a job is."""
    from paft_cli.commands.status import status as command
    from paft_cli.targets import ClusterOptions, target_of

    command(target_of(job, ClusterOptions(namespace=namespace, context=context)), output=output)


@app.command()
def watch(
    job: OptionalJob = None,
    namespace: NamespaceOption = None,
    context: ContextOption = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Show both arms live until the job ends; lines of text where there is no terminal.

    Exits with 0 when the checkpoint is published, 1 when the job failed or was deleted, 2 where it cannot be watched,
    and 130 after Ctrl-C, which does not stop the job. With --output json each change is one line: the whole PaftJob.
    """
    from paft_cli.commands.watch import watch as command
    from paft_cli.targets import ClusterOptions, target_of

    target = target_of(job, ClusterOptions(namespace=namespace, context=context))
    raise typer.Exit(command(target, output=output))


@app.command()
def logs(
    stage: Annotated[StageName, typer.Argument(metavar="STAGE", help="prepare, sft, preference or merge.")],
    job: OptionalJob = None,
    attempt: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Number of the attempt. Default: the newest.", show_default=False),
    ] = None,
    index: Annotated[
        int | None,
        typer.Option(
            min=0,
            metavar="N",
            help="Index of the pod, in a cluster. Default: 0, which holds rank 0.",
            show_default=False,
        ),
    ] = None,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on until the attempt has ended; in a cluster also wait for it.")
    ] = False,
    namespace: NamespaceOption = None,
    context: ContextOption = None,
) -> None:
    """Print the log of a stage. Logs of failed attempts are kept; in a cluster as long as their pods are."""
    from paft_cli.commands.logs import logs as command
    from paft_cli.targets import ClusterOptions, target_of

    target = target_of(job, ClusterOptions(namespace=namespace, context=context))
    command(stage, target, attempt=attempt, index=index, follow=follow)


@app.command()
def retry(
    job: JobName,
    namespace: NamespaceOption = None,
    context: ContextOption = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Try a failed PaftJob again: what has failed begins anew, and finished stages stay."""
    from paft_cli.commands.retry import retry as command
    from paft_cli.targets import ClusterOptions, require_cluster_target

    options = ClusterOptions(namespace=namespace, context=context)
    command(require_cluster_target(job, options, instead="paft run {file} tries it again"), output=output)


@app.command()
def suspend(
    job: JobName,
    namespace: NamespaceOption = None,
    context: ContextOption = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Stop a PaftJob after its arms have saved; it keeps what is finished, and frees its GPUs."""
    from paft_cli.commands.suspend import suspend as command
    from paft_cli.targets import ClusterOptions, require_cluster_target

    options = ClusterOptions(namespace=namespace, context=context)
    instead = "Ctrl-C stops its paft run after the arms have saved"
    command(require_cluster_target(job, options, instead=instead), output=output)


@app.command()
def resume(
    job: JobName,
    namespace: NamespaceOption = None,
    context: ContextOption = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Let a suspended PaftJob go on, from its last checkpoints."""
    from paft_cli.commands.suspend import resume as command
    from paft_cli.targets import ClusterOptions, require_cluster_target

    options = ClusterOptions(namespace=namespace, context=context)
    command(require_cluster_target(job, options, instead="paft run {file} continues it"), output=output)


@app.command()
def merge(
    output: Annotated[str, typer.Option(metavar="URI", help="Empty folder for the result.")],
    base: Annotated[
        str | None,
        typer.Option(metavar="URI", help="Checkpoint that both adapters were trained on.", show_default=False),
    ] = None,
    adapter: Annotated[
        list[str] | None,
        typer.Option(metavar="ARM=URI", help="sft=URI and preference=URI: PEFT adapter folders.", show_default=False),
    ] = None,
    method: flags.MethodOption = None,
    preset: flags.PresetOption = None,
    weight: flags.WeightOption = None,
    density: flags.DensityOption = None,
    density_scope: flags.DensityScopeOption = None,
    seed: flags.SeedOption = None,
    rescale: flags.RescaleOption = None,
    election: flags.ElectionOption = None,
    normalize: flags.NormalizeOption = None,
    gamma: flags.GammaOption = None,
    epsilon: flags.EpsilonOption = None,
    whole_weights: flags.WholeWeightsOption = None,
    balance: flags.BalanceOption = None,
    lambda_: flags.LambdaOption = None,
    recipe: flags.RecipeOption = None,
    candidates: flags.CandidatesOption = None,
    form: flags.FormOption = None,
    rank: flags.RankOption = None,
    max_shard_size: flags.MaxShardSizeOption = None,
    endpoint: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Address of an S3-compatible server. Default: AWS.", show_default=False),
    ] = None,
    region: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Region of the buckets. Default: the environment's.", show_default=False),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Claim and write nothing: check, merge a sample of layers, and tell sizes, time, memory and "
            "interference.",
        ),
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="With --dry-run: print it as JSON.")] = False,
) -> None:
    """Merge two adapters into their base, without a job.

    URI is s3://bucket/folder/ or a local path. Credentials come from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.
    Options may come from a recipe, from flags or from both, but each from one place. An interrupted merge is continued
    by the same command.
    """
    from paft_cli.commands.merge import MergeArguments, merge_adapters

    options = {
        "method": method,
        "preset": preset,
        "density": density,
        "densityScope": density_scope,
        "seed": seed,
        "rescale": rescale,
        "election": election,
        "normalize": normalize,
        "gamma": gamma,
        "epsilon": epsilon,
        "wholeWeights": whole_weights,
        "balance": balance,
        "lambda": lambda_,
    }
    arguments = MergeArguments(
        base=base,
        adapters=tuple(adapter or ()),
        output=output,
        options=flags.fields_of(options),
        weights=tuple(weight or ()),
        output_options=flags.fields_of({"form": form, "rank": rank, "maxShardSize": max_shard_size}),
        recipe=recipe,
        candidates=candidates,
        endpoint=endpoint,
        region=region,
    )
    if dry_run:
        from paft_cli.commands.rehearse import rehearse_merge

        raise typer.Exit(rehearse_merge(arguments, as_json=json))
    if json:
        raise CommandError("--json is the form of --dry-run; add that, or leave --json out")
    raise typer.Exit(merge_adapters(arguments))


@app.command()
def verify(
    uri: Annotated[
        str, typer.Argument(metavar="URI", help="Merged checkpoint, published adapter or base.", show_default=False)
    ],
    artifacts: Annotated[
        str | None,
        typer.Option(
            metavar="URI",
            help="Base: storage.artifactsUri of a job that used it. Default: what paft merge keeps here.",
            show_default=False,
        ),
    ] = None,
    digest: Annotated[
        str | None,
        typer.Option(metavar="sha256:…", help="Digest that the whole must have, besides.", show_default=False),
    ] = None,
    endpoint: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Address of an S3-compatible server. Default: AWS.", show_default=False),
    ] = None,
    region: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Region of the buckets. Default: the environment's.", show_default=False),
    ] = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Read a folder and compare it with its manifest, or a base with its index. Changes nothing.

    URI is s3://bucket/folder/ or a local path. Exits with 0 when every file is as it was, and with 1 when one is
    changed, cut, missing, swapped or added, or when there is nothing to compare with.
    """
    from paft_cli.commands.verify import VerifyArguments, verify_folder

    arguments = VerifyArguments(uri=uri, artifacts=artifacts, digest=digest, endpoint=endpoint, region=region)
    raise typer.Exit(verify_folder(arguments, output=output))


app.add_typer(storage_commands.app)
app.add_typer(data_commands.app)
