"""`paft merge`: one merge of adapters that lie somewhere, without a job."""

import os
import re
import shlex
import sys
import tempfile
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError
from rich.console import Console

from paft_api.causes import Cause
from paft_api.report import MergeResult
from paft_api.run_spec import AdapterReference, MergeRun, RunSpec, StageIdentity
from paft_api.spec.base import BaseSpec
from paft_api.spec.storage import StorageSpec
from paft_api.stages import ARMS, StageName
from paft_api.yaml_documents import Json
from paft_cli.commands.run import require_trainer
from paft_cli.display.merge_display import MergeDisplay, merge_display_on
from paft_cli.display.summary import stop_text
from paft_cli.errors import EXIT_FAILED, CommandError
from paft_cli.local.directories import AttemptDirectory, paft_home
from paft_cli.local.files import write_atomically
from paft_cli.local.launchers import TRAINER_COMMAND, Launchers
from paft_cli.local.local_host import observe_attempt
from paft_cli.local.stop_signals import StopSignals
from paft_cli.merge_recipes.merge_spec import merge_spec_of
from paft_cli.merge_recipes.recipe_files import RecipeFile, RecipeInputs, read_candidates, read_recipe
from paft_cli.merge_recipes.weight_flags import weights_of
from paft_cli.tables import format_bytes
from paft_operator.planner.observation import AttemptObservation, AttemptState

_TICK_SECONDS = 0.2


@dataclass(frozen=True, kw_only=True, slots=True)
class MergeArguments:
    """The command line, as it was given."""

    base: str | None
    adapters: tuple[str, ...]
    output: str
    options: Mapping[str, str | float | bool]
    """Of MergeOptions, by their names in documents; those that were given."""
    weights: tuple[str, ...]
    output_options: Mapping[str, str | float | bool]
    """Of MergeOutput, in the same way."""
    recipe: Path | None
    candidates: Path | None
    endpoint: str | None
    region: str | None


def merge_adapters(arguments: MergeArguments, *, trainer_command: Sequence[str] = TRAINER_COMMAND) -> int:
    """Merge and publish; returns the exit code. Raises CommandError for arguments that cannot work."""
    if trainer_command == TRAINER_COMMAND:
        require_trainer()
    recipe = read_recipe(arguments.recipe) if arguments.recipe is not None else None
    with tempfile.TemporaryDirectory(prefix="paft-merge-") as folder, StopSignals() as stop_signals:
        directory = AttemptDirectory(Path(folder), StageName.MERGE, 1)
        write_atomically(directory.run_spec_file, run_spec_of(arguments, recipe, directory).to_json())
        for note in recipe.notes if recipe is not None else ():
            print(f"{arguments.recipe}: {note}", flush=True)
        launchers = Launchers(os.environ, trainer_command)
        with merge_display_on(Console(soft_wrap=True)) as display:
            ended = _watch(directory, launchers, stop_signals, display)
        if ended.state is AttemptState.STOPPED:
            print(stop_text(shlex.join(["paft", *sys.argv[1:]])))
            return stop_signals.exit_code if stop_signals.requested else EXIT_FAILED
        if ended.failure is not None:
            failure = ended.failure
            # The log goes with its folder; it is wanted only where nobody knows what went wrong.
            is_unknown = failure.cause is Cause.UNKNOWN
            log = directory.log_file.read_text(encoding="utf-8", errors="replace") if is_unknown else ""
            print(f"{log}Failed: {failure.cause}: {failure.message}\n  {failure.remedy}", file=sys.stderr)
            return EXIT_FAILED
        assert ended.report is not None
        assert ended.report.merge is not None
        print(_result_text(ended.report.merge))
        return 0


def run_spec_of(arguments: MergeArguments, recipe: RecipeFile | None, directory: AttemptDirectory) -> RunSpec:
    """What the merge is told. `recipe`: what `arguments` name. Raises CommandError with all that is wrong."""
    candidates = read_candidates(arguments.candidates) if arguments.candidates is not None else None
    inputs = _inputs(arguments, recipe)
    weights: dict[str, Json] = {"weights": weights_of(arguments.weights)} if arguments.weights else {}
    merge = merge_spec_of(
        {**arguments.options, **weights},
        {**arguments.output_options, "uri": as_uri(arguments.output)},
        [file for file in (recipe, candidates) if file is not None],
    )
    # The cache has the form of artifacts, of which a merge on its own has none.
    artifacts_uri = (paft_home() / "cache").as_uri() + "/"
    try:
        return RunSpec(
            identity=StageIdentity(
                job_name="merge",
                job_namespace="default",
                job_uid=str(uuid.uuid4()),
                generation=1,
                stage=StageName.MERGE,
                attempt=1,
            ),
            base=BaseSpec(uri=as_uri(inputs.base)),
            base_digest=inputs.base_digest,
            storage=StorageSpec(artifacts_uri=artifacts_uri, endpoint=arguments.endpoint, region=arguments.region),
            report_path=str(directory.report_file),
            termination_path=str(directory.termination_file),
            scratch_directory=str(directory.scratch),
            cache_directory=str(paft_home() / "cache"),
            merge=MergeRun(
                spec=merge,
                sft=_adapter(inputs, StageName.SFT),
                preference=_adapter(inputs, StageName.PREFERENCE),
            ),
        )
    except ValidationError as error:
        raise CommandError("\n".join(_explained(error))) from error


def _adapter(inputs: RecipeInputs, arm: StageName) -> AdapterReference:
    return AdapterReference(uri=as_uri(inputs.adapters[arm]), digest=inputs.digests.get(arm))


def as_uri(address: str) -> str:
    """A URI as it is, a local path as the `file://` URI of a folder."""
    if re.match(r"[a-z0-9]+://", address):
        return address
    return Path(address).expanduser().resolve().as_uri() + "/"


def _inputs(arguments: MergeArguments, recipe: RecipeFile | None) -> RecipeInputs:
    """The base and both adapters, from flags or from a recipe that names them."""
    if recipe is not None and recipe.inputs is not None:
        given = "--base" if arguments.base is not None else "--adapter" if arguments.adapters else None
        if given is not None:
            raise CommandError(f"{given} and {recipe.path} both name it; give it once")
        return recipe.inputs
    if arguments.base is None:
        raise CommandError("--base URI is missing: the checkpoint that both adapters were trained on")
    adapters: dict[StageName, str] = {}
    for pair in arguments.adapters:
        name, separator, value = pair.partition("=")
        if name not in ARMS or not separator or not value:
            raise CommandError(f"--adapter {pair}: write sft=… or preference=…")
        if StageName(name) in adapters:
            raise CommandError(f"--adapter {name}=… is given twice; give it once")
        adapters[StageName(name)] = value
    missing = [arm.value for arm in ARMS if arm not in adapters]
    if missing:
        raise CommandError(f"--adapter {missing[0]}=URI is missing; both adapters are needed")
    return RecipeInputs(base=arguments.base, adapters=adapters)


def _explained(error: ValidationError) -> list[str]:
    lines = []
    for one in error.errors():
        place = ".".join(str(part) for part in one["loc"])
        message = one["msg"].removeprefix("Value error, ")
        lines.append(f"{place} {one['input']!r}: {message}" if place else message)
    return lines


def _watch(
    directory: AttemptDirectory, launchers: Launchers, stop_signals: StopSignals, display: MergeDisplay
) -> AttemptObservation:
    """Start the merge and wait for its end."""
    while True:
        observation = observe_attempt(directory, launchers)
        if observation is not None and observation.state is not AttemptState.RUNNING:
            return observation
        launchers.start(directory)
        if stop_signals.impatient:
            launchers.kill(directory)
        elif stop_signals.requested:
            launchers.stop(directory, "paft merge was stopped")
        if observation is not None and observation.report is not None:
            display.show(observation.report.progress)
        time.sleep(_TICK_SECONDS)


def _result_text(result: MergeResult) -> str:
    """What was published, then what there is to think about."""
    size, uri, digest = format_bytes(result.bytes), result.artifact.uri, result.artifact.digest
    if result.adopted:
        lines = [f"{uri} has this merge already: {size}, {digest}"]
    else:
        tensors = f"{result.merged_tensors} tensors merged, {result.copied_tensors} copied"
        effort = f"{result.seconds:.1f} s, peak memory {format_bytes(result.peak_memory_bytes)}"
        lines = [f"{uri}: {result.method}, {tensors}, {size} in {effort}, {digest}"]
    for candidate in result.candidates:
        what = f"{candidate.method}, {format_bytes(candidate.bytes)}, {candidate.artifact.digest}"
        lines.append(f"{candidate.artifact.uri}: {what}")
    return "\n".join([*lines, *(f"Warning: {warning}" for warning in result.warnings)])
