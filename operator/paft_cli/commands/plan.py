"""`paft plan FILE`: what `paft run` would do here. Reads only; starts nothing."""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from paft_api.layout import candidate_folder, stage_folder
from paft_api.run_spec import World
from paft_api.spec import PaftJob
from paft_api.spec.arm import ArmSpec
from paft_api.spec.training import TrainingSpec
from paft_api.stages import ARMS, StageName
from paft_api.status import StageState
from paft_cli.commands.job_files import read_job
from paft_cli.local import local_job
from paft_cli.local.directories import JobDirectory
from paft_cli.local.machine import Machine, this_machine, worlds_on
from paft_cli.merge_recipes.words import options_in_words
from paft_cli.tables import aligned
from paft_operator.worlds import describe_order, describe_world


def show_plan(file: Path, *, output: str) -> None:
    """Print the plan. Raises CommandError for a bad file."""
    job = read_job(file)
    directory = JobDirectory.of(job.metadata.name)
    machine = this_machine(os.environ)
    document = plan_document(local_job.resume(directory, job), directory, machine)
    print(json.dumps(document, indent=2) if output == "json" else _text(document))


def plan_document(job: PaftJob, directory: JobDirectory, machine: Machine) -> dict[str, Any]:
    """Stages with sizes and addresses, and the job with every default worked out. `job` has its local identity."""
    worlds = worlds_on(machine, job)
    return {
        "state": str(directory.path),
        "machine": {"cpus": machine.cpus, "cudaDevices": list(machine.cuda_devices)},
        "arms": describe_order(worlds),
        "stages": [
            _prepare_entry(job),
            *(_arm_entry(job, arm, worlds) for arm in ARMS),
            _merge_entry(job),
        ],
        "job": resolved_document(job),
    }


def resolved_document(job: PaftJob) -> dict[str, Any]:
    """The job without its status, with those defaults filled in too that depend on other fields."""
    document: dict[str, Any] = job.model_copy(update={"status": None}).to_document()
    for arm in ARMS:
        resources = _arm(job, arm).resources
        document["spec"][arm]["resources"]["processesPerNode"] = resources.resolved_processes_per_node
    merge = job.spec.merge
    document["spec"]["merge"] |= merge.resolved()
    for candidate, entry in zip(merge.candidates, document["spec"]["merge"]["candidates"], strict=True):
        entry |= candidate.resolved()
    return document


def _prepare_entry(job: PaftJob) -> dict[str, Any]:
    sources = [source.uri for arm in ARMS for source in _sources(_arm(job, arm))]
    return {
        "name": StageName.PREPARE.value,
        "next": _next(job, StageName.PREPARE),
        "processes": 1,
        "device": "cpu",
        "reads": [job.spec.base.uri, *sources],
        "writes": f"{job.spec.storage.artifacts_uri}index/",
    }


def _arm_entry(job: PaftJob, stage: StageName, worlds: Mapping[StageName, World]) -> dict[str, Any]:
    arm, world = _arm(job, stage), worlds[stage]
    training = arm.training
    return {
        "name": stage.value,
        "next": _next(job, stage),
        "processes": world.processes,
        "device": world.device,
        "cudaDevices": list(world.visible_devices) if world.visible_devices is not None else [],
        "threadsPerProcess": world.threads_per_process,
        "microBatchSize": training.micro_batch_size,
        "gradientAccumulationSteps": world.gradient_accumulation_steps,
        "globalBatchSize": training.global_batch_size,
        "length": _length(training),
        "decision": describe_world(stage, arm, world),
        "reads": [job.spec.base.uri, *(source.uri for source in _sources(arm))],
        "writes": _adapter_folder(job, stage),
    }


def _merge_entry(job: PaftJob) -> dict[str, Any]:
    merge = job.spec.merge
    output = merge.output
    return {
        "name": StageName.MERGE.value,
        "next": _next(job, StageName.MERGE),
        "processes": 1,
        "device": "cpu",
        "options": merge.resolved(),
        "candidates": [
            {
                "name": candidate.name,
                "options": candidate.resolved(),
                "writes": candidate_folder(output.uri, candidate.name),
            }
            for candidate in merge.candidates
        ],
        "form": output.form,
        "rank": output.rank,
        "maxShardSize": output.max_shard_size,
        "reads": [job.spec.base.uri, *(_adapter_folder(job, arm) for arm in ARMS)],
        "writes": output.uri,
    }


def _length(training: TrainingSpec) -> str:
    count, unit = (training.max_steps, "step") if training.max_steps is not None else (training.epochs, "epoch")
    return f"{count:g} {unit}" if count == 1 else f"{count:g} {unit}s"


def _adapter_folder(job: PaftJob, stage: StageName) -> str:
    digest = job.status.stage(stage).digest if job.status is not None else None
    artifacts_uri = job.spec.storage.artifacts_uri
    if digest is None or _is_new_generation(job):
        return f"{artifacts_uri}{stage}/<digest that prepare works out>/"
    return stage_folder(artifacts_uri, stage, digest)


def _next(job: PaftJob, stage: StageName) -> str:
    """What `paft run` would do with a stage."""
    if job.status is None:
        return "run"
    if _is_new_generation(job):
        return "run" if stage is StageName.PREPARE else "run, unless prepare finds it finished"
    entry = job.status.stage(stage)
    if entry.state is StageState.SUCCEEDED:
        return "nothing: it is finished"
    return f"continue after attempt {entry.attempt}" if entry.attempt else "run"


def _is_new_generation(job: PaftJob) -> bool:
    return job.status is None or job.status.observed_generation != job.metadata.generation


def _arm(job: PaftJob, stage: StageName) -> ArmSpec:
    return job.spec.sft if stage is StageName.SFT else job.spec.preference


def _sources(arm: ArmSpec) -> list[Any]:
    return [*arm.data.train, *arm.data.eval]


def _text(document: dict[str, Any]) -> str:
    job = document["job"]
    machine = document["machine"]
    devices = ", ".join(str(device) for device in machine["cudaDevices"]) or "none"
    headings = ("STAGE", "NEXT", "PROCESSES", "DEVICE", "THREADS", "MICRO", "ACCUMULATION", "GLOBAL BATCH", "LENGTH")
    rows = [headings, *(_stage_row(stage) for stage in document["stages"])]
    lines = [
        f"job {job['metadata']['name']}, generation {job['metadata']['generation']}, state in {document['state']}",
        f"machine: {machine['cpus']} CPU cores, CUDA devices: {devices}",
        "",
        aligned(rows),
        "",
        *(stage["decision"] for stage in document["stages"] if "decision" in stage),
        document["arms"],
        *_recipe_lines(document["stages"][-1]),
        "",
    ]
    for stage in document["stages"]:
        lines += [f"{stage['name']:<10}  reads   {uri}" for uri in stage["reads"]]
        written = [stage["writes"], *(candidate["writes"] for candidate in stage.get("candidates", ()))]
        lines += [f"{stage['name']:<10}  writes  {uri}" for uri in written]
    lines += ["", "Nothing was started. Every field with its default: paft plan --output json"]
    return "\n".join(lines)


def _stage_row(stage: dict[str, Any]) -> tuple[str, ...]:
    keys = ("threadsPerProcess", "microBatchSize", "gradientAccumulationSteps", "globalBatchSize", "length")
    device = stage["device"]
    if stage.get("cudaDevices"):
        device = f"cuda {','.join(str(index) for index in stage['cudaDevices'])}"
    sizes = ("" if stage.get(key) is None else str(stage[key]) for key in keys)
    return (stage["name"], stage["next"], str(stage["processes"]), device, *sizes)


def _recipe_lines(merge: dict[str, Any]) -> Iterator[str]:
    yield f"merge: {options_in_words(merge['options'])}"
    for candidate in merge["candidates"]:
        yield f"merge, candidate {candidate['name']}: {options_in_words(candidate['options'])}"
    rank = "rank of both adapters together" if merge["rank"] is None else f"rank {merge['rank']}"
    form = {"Full": "a checkpoint", "Adapter": f"an adapter, {rank}", "Recipe": "the recipe only"}[merge["form"]]
    yield f"merge writes {form}" + (
        "" if merge["form"] == "Recipe" else f", in files of at most {merge['maxShardSize']}"
    )
