"""`paft estimate FILE`: what a job needs, before anything is spent. Reads only."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paft_api.durations import format_duration
from paft_api.spec import PaftJob
from paft_api.spec.arm import ArmSpec
from paft_api.stages import ARMS, StageName
from paft_cli.base_reading import open_job_store, read_base_shape, read_data_sizes
from paft_cli.commands.documents import print_document
from paft_cli.commands.job_files import read_job
from paft_cli.commands.run import require_trainer
from paft_cli.errors import EXIT_FAILED, CommandError
from paft_cli.estimates.base_shape import BaseShape
from paft_cli.estimates.counts import counts_by_arm
from paft_cli.estimates.data_size import DataSize, size_of_tokens
from paft_cli.estimates.errors import CannotEstimate
from paft_cli.estimates.gpus import GPUS
from paft_cli.estimates.job_estimate import ArmEstimate, Hardware, JobEstimate, estimate_job
from paft_cli.tables import aligned, format_bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class EstimateArguments:
    """The command line, as it was given. `flops`: per second of one process, instead of the GPU's rate times `mfu`."""

    gpu: str
    mfu: float
    flops: float | None
    tokens: tuple[str, ...]
    rows: tuple[str, ...]
    sample: int


def show_estimate(file: Path, arguments: EstimateArguments, *, as_json: bool) -> int:
    """Print the estimate; returns the exit code. Raises CommandError for what cannot be estimated."""
    job = read_job(file)
    hardware = hardware_of(arguments, job)
    base, sizes = _read(job, arguments)
    try:
        estimate = estimate_job(job.spec, base, sizes, hardware)
    except CannotEstimate as error:
        raise CommandError(f"{error}\n  {error.remedy}") from error
    if as_json:
        print_document(estimate_document(estimate, hardware, arguments))
    else:
        print("\n\n".join(_text(estimate, hardware, arguments)))
    return 0 if estimate.fits else EXIT_FAILED


def hardware_of(arguments: EstimateArguments, job: PaftJob) -> Hardware:
    """Memory and rate. Raises CommandError for a GPU that is not in the table."""
    gpu = GPUS.get(arguments.gpu.lower())
    if gpu is None:
        raise CommandError(
            f"--gpu {arguments.gpu!r} is not known; use one of {', '.join(GPUS)}, of which the memory counts, and "
            "--flops for the rate of another"
        )
    uses_gpus = any(_arm(job, arm).resources.gpus_per_node > 0 for arm in ARMS)
    rate = gpu.flops * arguments.mfu if uses_gpus else None
    return Hardware(memory=gpu.memory, flops=arguments.flops or rate)


def _read(job: PaftJob, arguments: EstimateArguments) -> tuple[BaseShape, dict[str, DataSize]]:
    """The base and the rows of both arms. Raises CommandError."""
    require_trainer()
    from paft_trainer.errors import StageError
    from paft_trainer.no_accelerator import use_no_accelerator
    from paft_trainer.storage import StorageUnavailable

    use_no_accelerator()
    given = _given_sizes(job, arguments)
    unknown = {arm: _arm(job, arm) for arm in ARMS if arm not in given}
    try:
        store = open_job_store(job.spec)
        base = read_base_shape(store, job.spec.base)
        return base, given | read_data_sizes(store, job.spec.base, unknown, sample=arguments.sample)
    except CannotEstimate as error:
        raise CommandError(f"{job.spec.base.uri}: {error}\n  {error.remedy}") from error
    except StorageUnavailable as error:
        raise CommandError(f"{error.message}\n  {error.remedy}", exit_code=EXIT_FAILED) from error
    except StageError as error:
        raise CommandError(f"{error.message}\n  {error.remedy}") from error


def _given_sizes(job: PaftJob, arguments: EstimateArguments) -> dict[str, DataSize]:
    """Of arms whose tokens the command line tells."""
    try:
        tokens = counts_by_arm("--tokens", arguments.tokens)
        rows = counts_by_arm("--rows", arguments.rows)
    except ValueError as error:
        raise CommandError(str(error)) from error
    without = sorted(rows.keys() - tokens.keys())
    if without:
        raise CommandError(
            f"--rows {without[0]} needs --tokens {without[0]}=N: the rows are counted where the tokens are"
        )
    return {
        arm: size_of_tokens(
            tokens[arm],
            rows.get(arm),
            max_length=_arm(job, arm).training.max_length,
            sequences_per_row=2 if arm is StageName.PREFERENCE else 1,
        )
        for arm in ARMS
        if arm in tokens
    }


def _arm(job: PaftJob, arm: StageName) -> ArmSpec:
    return job.spec.sft if arm is StageName.SFT else job.spec.preference


def estimate_document(estimate: JobEstimate, hardware: Hardware, arguments: EstimateArguments) -> dict[str, Any]:
    """For programs: bytes, seconds, tokens and FLOPs as plain numbers."""
    hours = [arm.gpu_hours for arm in estimate.arms.values()]
    return {
        "base": {"modelType": estimate.base.model_type, "parameters": estimate.base.parameters},
        "gpu": arguments.gpu,
        "flopsPerSecond": hardware.flops,
        "fits": estimate.fits,
        "arms": {name: _arm_document(arm) for name, arm in estimate.arms.items()},
        "gpuHours": sum(hour for hour in hours if hour is not None) if None not in hours else None,
        "storage": [
            {"stage": flow.stage, "what": flow.what, "read": flow.read, "written": flow.written}
            for flow in estimate.flows
        ],
        "bytesRead": sum(flow.read for flow in estimate.flows),
        "bytesWritten": sum(flow.written for flow in estimate.flows),
    }


def _arm_document(arm: ArmEstimate) -> dict[str, Any]:
    memory = arm.memory
    return {
        "processes": arm.setting.processes,
        "device": arm.setting.device,
        "adapterParameters": arm.setting.adapter_parameters,
        "memory": {
            "base": memory.base,
            "gathered": memory.gathered,
            "adapter": memory.adapter,
            "masterWeights": memory.master,
            "gradients": memory.gradients,
            "optimizer": memory.optimizer,
            "activations": memory.activations,
            "logits": memory.logits,
            "runtime": memory.runtime + memory.allocator,
            "peak": memory.peak,
            "available": arm.available,
        },
        "tokensPerPass": memory.tokens,
        "fits": arm.advice.fits,
        "tight": arm.advice.is_tight,
        "changes": list(arm.advice.changes),
        "rows": round(arm.data.rows),
        "tokensPerEpoch": round(arm.data.tokens),
        "tokensError": arm.data.error,
        "steps": arm.work.steps,
        "tokens": round(arm.work.tokens),
        "flops": arm.work.flops,
        "seconds": arm.seconds,
        "gpuHours": arm.gpu_hours,
    }


def _text(estimate: JobEstimate, hardware: Hardware, arguments: EstimateArguments) -> Iterator[str]:
    base = estimate.base
    yield (
        f"base: {base.model_type}, {_count(base.parameters)} parameters, "
        f"{format_bytes(base.stored_bytes)} of weights\n{_rate(estimate, hardware, arguments)}"
    )
    yield f"Peak memory of each process\n{_table(_memory_rows(estimate))}"
    yield f"Work\n{_table(_work_rows(estimate))}"
    yield f"Object storage\n{_table(_flow_rows(estimate))}"
    yield "\n".join(_remarks(estimate))


def _table(rows: Iterable[Sequence[str]]) -> str:
    """Without rows that tell nothing of either arm."""
    return aligned([row for row in rows if any(row[1:])])


def _rate(estimate: JobEstimate, hardware: Hardware, arguments: EstimateArguments) -> str:
    if hardware.flops is None:
        return "rate: not known on CPU, so no time is told; --flops N gives one"
    if arguments.flops is not None:
        return f"rate: {hardware.flops / 1e12:g} TFLOP/s of each process, as given"
    gpu = GPUS[arguments.gpu.lower()]
    return (
        f"GPU: {arguments.gpu.lower()}, {format_bytes(gpu.memory)}; rate: {arguments.mfu:.0%} of its "
        f"{gpu.flops / 1e12:g} TFLOP/s, which is an assumption"
    )


def _memory_rows(estimate: JobEstimate) -> Iterator[Sequence[str]]:
    arms = estimate.arms.values()
    yield ("", *estimate.arms)
    yield ("processes", *(f"{arm.setting.processes} {arm.setting.device}" for arm in arms))
    yield ("tokens per pass", *(str(arm.memory.tokens) for arm in arms))
    yield ("base, shards", *(format_bytes(arm.memory.base) for arm in arms))
    yield ("base, gathered", *(format_bytes(arm.memory.gathered) for arm in arms))
    yield ("adapter", *(format_bytes(arm.memory.adapter + arm.memory.master) for arm in arms))
    yield ("its gradients", *(format_bytes(arm.memory.gradients) for arm in arms))
    yield ("its optimizer", *(format_bytes(arm.memory.optimizer) for arm in arms))
    yield ("activations", *(format_bytes(arm.memory.activations) for arm in arms))
    yield ("logits", *(format_bytes(arm.memory.logits) for arm in arms))
    yield ("runtime", *(format_bytes(arm.memory.runtime + arm.memory.allocator) for arm in arms))
    yield ("peak", *(format_bytes(arm.memory.peak) for arm in arms))
    yield ("available", *(format_bytes(arm.available) for arm in arms))


def _work_rows(estimate: JobEstimate) -> Iterator[Sequence[str]]:
    arms = estimate.arms.values()
    yield ("", *estimate.arms)
    yield ("rows", *(_count(arm.data.rows) for arm in arms))
    yield ("tokens of an epoch", *(f"{_count(arm.data.tokens)}{_error(arm.data)}" for arm in arms))
    yield ("optimizer steps", *(str(arm.work.steps) for arm in arms))
    yield ("tokens in all", *(_count(arm.work.tokens) for arm in arms))
    yield (
        "of the reference",
        *(_count(arm.work.reference_tokens) if arm.setting.has_reference else "" for arm in arms),
    )
    yield ("FLOPs", *(f"{arm.work.flops:.2e}" for arm in arms))
    yield ("time", *("" if arm.seconds is None else format_duration(arm.seconds) for arm in arms))
    yield ("GPU-hours", *("" if arm.gpu_hours is None else f"{arm.gpu_hours:.2f}" for arm in arms))


def _flow_rows(estimate: JobEstimate) -> Iterator[Sequence[str]]:
    yield ("STAGE", "WHAT", "READ", "WRITTEN")
    for flow in estimate.flows:
        yield (flow.stage, flow.what, *(format_bytes(size) if size else "" for size in (flow.read, flow.written)))
    totals = (sum(flow.read for flow in estimate.flows), sum(flow.written for flow in estimate.flows))
    yield ("all", "", *(format_bytes(size) for size in totals))


def _remarks(estimate: JobEstimate) -> Iterator[str]:
    hours = [arm.gpu_hours for arm in estimate.arms.values() if arm.gpu_hours is not None]
    if hours:
        seconds = [arm.seconds or 0.0 for arm in estimate.arms.values()]
        yield (
            f"{sum(hours):.2f} GPU-hours in all; {format_duration(max(seconds))} where both arms train at the same "
            f"time, {format_duration(sum(seconds))} one after the other. Loading, saving and merging are not in it."
        )
    for name, arm in estimate.arms.items():
        yield from _verdict(name, arm)


def _verdict(name: str, arm: ArmEstimate) -> Iterator[str]:
    peak, there = format_bytes(arm.memory.peak), format_bytes(arm.available)
    if arm.advice.fits:
        room = ", with little room" if arm.advice.is_tight else ""
        yield f"{name}: fits{room}: {peak} of {there}"
        return
    yield f"Warning: {name} does not fit: {peak} of {there}"
    if not arm.advice.changes:
        yield "  no change of passes, processes or lengths is enough; use GPUs with more memory or a smaller base"
        return
    yield f"  {'one of these' if len(arm.advice.changes) > 1 else 'this'} is enough:"
    yield from (f"  - spec.{name}.{change}" for change in arm.advice.changes)


def _error(data: DataSize) -> str:
    return "" if data.error == 0 else f" ± {data.error:.1%}"


def _count(value: float) -> str:
    for unit, name in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= unit:
            return f"{value / unit:.2f} {name}"
    return f"{value:.0f}"
