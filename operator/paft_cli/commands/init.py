"""`paft init`: a commented job file whose sizes fit."""

import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from paft_api.crd.editor_schema import editor_schema
from paft_api.documents import load_job
from paft_api.errors import JobFileInvalid
from paft_api.spec.base import BaseSpec
from paft_api.spec.data import DataFormat, DataSource, DataSpec
from paft_api.spec.job import KIND
from paft_api.spec.preference import PreferenceSpec
from paft_api.spec.resources import ArmResources
from paft_api.spec.sft import SftSpec
from paft_api.spec.storage import StorageSpec
from paft_api.spec.training import PreferenceTrainingSpec, SftTrainingSpec, TrainingSpec
from paft_cli.base_reading import read_base_shape
from paft_cli.commands.merge import as_uri
from paft_cli.commands.run import require_trainer
from paft_cli.errors import CommandError
from paft_cli.estimates.arm_setting import arm_setting
from paft_cli.estimates.base_shape import BaseShape
from paft_cli.estimates.errors import CannotEstimate
from paft_cli.estimates.fitting import FittingPasses, fitting_passes
from paft_cli.estimates.gpus import GPUS
from paft_cli.estimates.job_estimate import Hardware, available_bytes
from paft_cli.estimates.typical_bases import TYPICAL_SIZES, typical_base
from paft_cli.job_template import GPUS_OF_A_NODE, ArmAnswers, JobAnswers, job_text
from paft_cli.local.directories import paft_home
from paft_cli.local.files import write_atomically

SCHEMA_FILE = "paftjob_v1alpha1.json"
_NOTE = "Written by paft init, for editors; it is made from paft_api.spec."
_ANY_DATA = {"sft": "s3://data/sft/", "preference": "s3://data/preferences/"}


@dataclass(frozen=True, kw_only=True, slots=True)
class InitArguments:
    """The command line, as it was given. `schema`: address of a schema for editors; None writes one here."""

    output: Path
    base: str | None
    model: str | None
    gpus: int
    gpu: str
    max_length: int
    name: str
    artifacts: str
    sft: str | None
    preference: str | None
    result: str
    endpoint: str | None
    schema: str | None
    force: bool


def init_job(arguments: InitArguments) -> None:
    """Write the file, and check it. Raises CommandError where there is one already, or nothing is known of the base."""
    _require_arguments(arguments)
    shape, words = _shape(arguments)
    answers = _answers(arguments, shape, words)
    text = job_text(answers)
    _require_valid(text, arguments.output)
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    if arguments.schema is None:
        _write_schema()
    write_atomically(arguments.output, text)
    print(f"{arguments.output}: {KIND} {answers.name}, {words}")
    for name, arm in (("sft", answers.sft), ("preference", answers.preference)):
        if not arm.passes.fits:
            print(f"Warning: {name} does not fit; paft estimate {arguments.output} tells what to change")


def _require_valid(text: str, output: Path) -> None:
    """Raises CommandError where an option holds what no job may have."""
    with tempfile.TemporaryDirectory(prefix="paft-init-") as folder:
        file = Path(folder) / "job.yaml"
        file.write_text(text, encoding="utf-8")
        try:
            load_job(file)
        except JobFileInvalid as error:
            wrong = "\n".join(finding.render(str(output)) for finding in error.findings)
            raise CommandError(f"{output} is not written, for it would be wrong:\n{wrong}") from error


def _require_arguments(arguments: InitArguments) -> None:
    if arguments.output.exists() and not arguments.force:
        raise CommandError(f"{arguments.output} is there already; name another file with --output, or use --force")
    if arguments.gpu.lower() not in GPUS:
        raise CommandError(f"--gpu {arguments.gpu!r} is not known; use one of {', '.join(GPUS)}")
    if arguments.gpus > GPUS_OF_A_NODE and arguments.gpus % GPUS_OF_A_NODE:
        raise CommandError(
            f"--gpus {arguments.gpus} is neither at most {GPUS_OF_A_NODE} nor a multiple of it; an arm's pods are alike"
        )
    if arguments.model is not None and arguments.model.lower() not in TYPICAL_SIZES:
        raise CommandError(
            f"--model {arguments.model!r} is no usual size; use one of {', '.join(TYPICAL_SIZES)}, or --base alone, "
            "which is read"
        )
    if arguments.model is None and arguments.base is None:
        raise CommandError("name the model: --base URI, which is read, or --model with a size such as 7b")


def _shape(arguments: InitArguments) -> tuple[BaseShape, str]:
    """The base's, and what it is in words."""
    if arguments.model is not None:
        shape = typical_base(arguments.model.lower())
        return shape, f"sizes are those of a usual {arguments.model.lower()} model; nothing was read"
    assert arguments.base is not None
    require_trainer()
    from paft_trainer.errors import StageError
    from paft_trainer.storage import open_store

    uri = as_uri(arguments.base)
    try:
        storage = StorageSpec(artifacts_uri=arguments.artifacts, endpoint=arguments.endpoint, retry_window=0)
        shape = read_base_shape(open_store(storage), BaseSpec(uri=uri))
    except ValidationError as error:
        raise CommandError("\n".join(_explained(error))) from error
    except CannotEstimate as error:
        raise CommandError(f"{uri}: {error}\n  {error.remedy} Or name its size with --model.") from error
    except StageError as error:
        raise CommandError(f"{error.message}\n  {error.remedy} Or name its size with --model.") from error
    return shape, f"a {shape.model_type} of {shape.parameters / 1e9:.2f} G parameters was read"


def _explained(error: ValidationError) -> list[str]:
    options = {"uri": "--base", "artifacts_uri": "--artifacts", "artifactsUri": "--artifacts", "endpoint": "--endpoint"}
    return [f"{options[str(one['loc'][0])]} {one['input']!r}: {one['msg']}" for one in error.errors()]


def _answers(arguments: InitArguments, shape: BaseShape, words: str) -> JobAnswers:
    hardware = Hardware(memory=GPUS[arguments.gpu.lower()].memory, flops=None)
    resources = ArmResources(
        nodes=max(1, arguments.gpus // GPUS_OF_A_NODE), gpus_per_node=min(arguments.gpus, GPUS_OF_A_NODE)
    )
    batch = _batch(resources.processes)
    shared: dict[str, Any] = {"max_length": arguments.max_length, "global_batch_size": batch}
    sft = SftSpec(data=_data(DataFormat.MESSAGES), training=SftTrainingSpec(**shared), resources=resources)
    preference = PreferenceSpec(
        data=_data(DataFormat.PREFERENCE), training=PreferenceTrainingSpec(**shared), resources=resources
    )
    available = available_bytes(sft, hardware)
    passes = {
        name: fitting_passes(arm_setting(shape, arm, field=f"spec.{name}"), available=available)
        for name, arm in (("sft", sft), ("preference", preference))
    }
    return JobAnswers(
        schema=arguments.schema or os.path.relpath(_schema_file(), arguments.output.absolute().parent),
        name=arguments.name,
        base=as_uri(arguments.base) if arguments.base is not None else "s3://models/base/",
        base_words=f"Written by paft init: {words}.",
        artifacts=arguments.artifacts,
        output=arguments.result,
        endpoint=arguments.endpoint,
        gpus=arguments.gpus,
        gpu=arguments.gpu.lower(),
        available=available,
        max_length=arguments.max_length,
        sft=_arm(arguments.sft or _ANY_DATA["sft"], "messages", passes["sft"], sft.training),
        preference=_arm(
            arguments.preference or _ANY_DATA["preference"], "preference", passes["preference"], preference.training
        ),
    )


def _arm(uri: str, form: str, passes: FittingPasses, training: TrainingSpec) -> ArmAnswers:
    rate = f"{training.learning_rate:.1e}".replace("e-0", "e-")
    return ArmAnswers(uri=uri, format=form, passes=passes, batch=training.global_batch_size, learning_rate=rate)


def _batch(processes: int) -> int:
    """The default, or the next multiple of the processes."""
    default: int = TrainingSpec.model_fields["global_batch_size"].default
    return -(-default // processes) * processes


def _data(form: DataFormat) -> DataSpec:
    return DataSpec(train=(DataSource(uri="s3://data/rows/", format=form),))


def _schema_file() -> Path:
    return paft_home() / SCHEMA_FILE


def _write_schema() -> None:
    _schema_file().parent.mkdir(parents=True, exist_ok=True)
    write_atomically(_schema_file(), json.dumps(editor_schema(_NOTE), indent=2, ensure_ascii=False) + "\n")
