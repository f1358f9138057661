"""What is wrong with an attempt that met a fault, and with the one after it."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file
from tests.arm_faults.drawn_trials import SAVE_STEPS, Kind, Trial
from tests.arm_faults.faults import RightEnd
from tests.arm_faults.observed_attempts import ObservedAttempt
from tests.run_specs import STAGE_DIGESTS

from paft_api.causes import EXIT_SUCCEEDED, Cause
from paft_api.layout import CLAIM_FILE, stage_folder
from paft_api.report import AdapterResult
from paft_trainer.keeping.saved_checkpoints import list_checkpoints
from paft_trainer.launching.hang_watch import NO_STACKS
from paft_trainer.storage.file_store import FileStore, path_of

TOLERANCE = 1e-4
"""Of losses and of weights, where another number of ranks goes on: sums are taken in another order."""
ADAPTER_FILE = "adapter_model.safetensors"


def wrong_end(attempt: ObservedAttempt, codes: Sequence[int], end: RightEnd) -> Iterator[str]:
    """Of an attempt that met a fault: exit code, cause, the rank it names, and who is still there."""
    node = attempt.nodes[end.node]
    if codes[end.node] != end.exit_code:
        yield f"ended with {codes[end.node]} instead of {end.exit_code}"
    termination = Path(node.run_spec.termination_path)
    if termination.exists():
        told = node.termination
        if (told.cause, told.exit_code) != (end.cause, end.exit_code):
            yield f"told {told.cause}, {told.exit_code}: {told.message}"
        if end.rank is not None and told.rank != end.rank:
            yield f"blamed rank {told.rank} instead of {end.rank}: {told.message}"
    elif end.has_words:
        yield "left no termination message"
    if end.cause is Cause.HANG:
        stacks = f"stacks of rank {end.rank}:\n{NO_STACKS}"
        if stacks not in attempt.log():
            yield "the log does not say which rank does not answer signals"
    if left := attempt.survivors():
        yield f"ranks {left} are still there"


def wrong_remains(trial: Trial, attempt: ObservedAttempt) -> Iterator[str]:
    """Of an attempt that met a fault: what it has saved and published."""
    artifacts = path_of(attempt.nodes[0].artifacts)
    for file in sorted(artifacts.rglob("*.safetensors")):
        if not all(bool(tensor.isfinite().all()) for tensor in load_file(file).values()):
            yield f"{file.relative_to(artifacts)} is not finite"
    if trial.kind is not Kind.NAN:
        return
    if path_of(stage_folder(attempt.nodes[0].artifacts, trial.stage, STAGE_DIGESTS[trial.stage]) + CLAIM_FILE).exists():
        yield "an adapter was published"
    saved = [one.step for one in list_checkpoints(FileStore(), attempt.nodes[0].artifacts)]
    if max(saved, default=0) != (trial.moment - 1) // SAVE_STEPS * SAVE_STEPS:
        yield f"checkpoints of steps {saved} are there, and step {trial.moment} was the first bad one"


def wrong_success(codes: Sequence[int]) -> Iterator[str]:
    """Of an attempt that nothing disturbs."""
    if any(code != EXIT_SUCCEEDED for code in codes):
        yield f"undisturbed it ended with {codes}"


def wrong_start(trial: Trial, first: ObservedAttempt, second: ObservedAttempt, torn: int | None) -> Iterator[str]:
    """Of the next attempt: how many steps it had to do again. `torn`: the step of the checkpoint that was spoilt."""
    adapter, progress = second.report.adapter, second.report.progress
    if adapter is not None and adapter.adopted:
        return
    resumed = progress.resumed_step or 0
    if resumed < (due := _newest_saved(first) if torn is None else torn - SAVE_STEPS):
        yield f"it went on from step {resumed}, and step {due} was saved; {first.steps_begun} steps were begun"
    if trial.kind is Kind.STOPPED and resumed != (first.report.progress.checkpoint_step or 0):
        yield f"it went on from step {resumed}, and had saved {first.report.progress.checkpoint_step}"


def _newest_saved(attempt: ObservedAttempt) -> int:
    """The step that an attempt at least has saved: the newest one due, or the one before where that was on its way."""
    due = max(attempt.steps_begun - 1, 0) // SAVE_STEPS * SAVE_STEPS
    is_complete = f"checkpoint of step {due}: complete" in attempt.log()
    return due if is_complete else due - SAVE_STEPS


def wrong_result(found: AdapterResult, unbroken: AdapterResult, *, same_world: bool) -> Iterator[str]:
    """Of the next attempt: its adapter, beside that of an arm that nothing interrupted."""
    if same_world:
        if found.artifact.digest != unbroken.artifact.digest:
            yield f"the adapter is another one: {found.artifact.digest} instead of {unbroken.artifact.digest}"
        if _numbers(found) != _numbers(unbroken):
            yield f"the report is another one: {_numbers(found)} instead of {_numbers(unbroken)}"
        return
    for name, number in _numbers(found).items():
        expected = _numbers(unbroken)[name]
        if not math.isclose(number, expected, rel_tol=0, abs_tol=TOLERANCE):
            yield f"{name} is {number} instead of {expected}"
    if (difference := _difference(found, unbroken)) > TOLERANCE:
        yield f"weights differ by {difference}"


def _numbers(result: AdapterResult) -> dict[str, float]:
    numbers = {
        "steps": result.steps,
        "first loss": result.first_loss,
        "last loss": result.last_loss,
        "first reward margin": result.first_reward_margin,
        "last reward margin": result.last_reward_margin,
    }
    return {name: number for name, number in numbers.items() if number is not None}


def _difference(one: AdapterResult, other: AdapterResult) -> float:
    weights, others = (load_file(path_of(result.artifact.uri) / ADAPTER_FILE) for result in (one, other))
    assert weights.keys() == others.keys()
    return max(float(torch.max(torch.abs(weights[name] - others[name]))) for name in weights)
