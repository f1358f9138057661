"""One arm: its data, how they render, its adapter's targets and its batch."""

from collections.abc import Sequence
from typing import Any

from paft_api.digests import preference_digest, sft_digest
from paft_api.run_spec import RunSpec
from paft_api.spec.arm import ArmSpec
from paft_api.spec.data import DataSource
from paft_api.spec.lora import LoraSpec
from paft_api.spec.training import TrainingSpec
from paft_api.stages import StageName
from paft_trainer.data.bad_rows import BadRows
from paft_trainer.data.encoding import Encoder, encode_placed, encoder, is_usable
from paft_trainer.data.loss_mask import loss_mask_of
from paft_trainer.data.mixing import Mixture
from paft_trainer.data.rows import PlacedRow, read_placed
from paft_trainer.data.schedule import total_steps
from paft_trainer.errors import ConfigInvalid, DataInvalid
from paft_trainer.prepare.base_model_checks import BaseForChecks
from paft_trainer.prepare.findings import Findings
from paft_trainer.storage import ObjectStore
from paft_trainer.training.adapter_targets import ADAPTER_CHECKS, BaseModules
from paft_trainer.training.training_checks import TRAINING_CHECKS

RENDERED_ROWS = 32
"""Rows of each source that are rendered and tokenized."""


def check_arm(
    store: ObjectStore,
    findings: Findings,
    stage: StageName,
    arm: ArmSpec,
    base: BaseForChecks | None,
) -> Mixture | None:
    """Check one arm as far as it goes; returns its training rows, None where they could not be read."""
    field = f"spec.{stage}"
    for name, check in TRAINING_CHECKS.items():
        with findings.of(f"{field}.training.{name}"):
            check(arm)
    if base is not None:
        _check_adapter(findings, f"{field}.lora", arm.lora, base.modules)
    train = _check_sources(store, findings, f"{field}.data.train", arm.data.train, arm, base)
    _check_sources(store, findings, f"{field}.data.eval", arm.data.eval, arm, base)
    if train is not None:
        with findings.of(f"{field}.training.globalBatchSize"):
            _check_batch(arm, train.epoch_rows)
        with findings.of(f"{field}.training.evalSteps"):
            _check_early_stopping(arm.training, train.epoch_rows)
    return train


def _check_adapter(findings: Findings, field: str, lora: LoraSpec, modules: BaseModules) -> None:
    """Up to the first field that does not suit the base."""
    for name, check in ADAPTER_CHECKS.items():
        suits = False
        with findings.of(f"{field}.{name}"):
            check(modules, lora)
            suits = True
        if not suits:
            return


def stage_digest(
    run_spec: RunSpec, stage: StageName, *, base_digest: str, data: str, evaluation: str | None = None
) -> str:
    """The digest of this arm's work. `data`, `evaluation`: of its rows."""
    assert run_spec.prepare is not None
    facts: dict[str, Any] = {
        "base_digest": base_digest,
        "chat_template": run_spec.base.chat_template,
        "data": data,
        "evaluation": evaluation,
    }
    if stage is StageName.SFT:
        return sft_digest(run_spec.prepare.sft, **facts)
    return preference_digest(run_spec.prepare.preference, **facts)


def _check_sources(
    store: ObjectStore,
    findings: Findings,
    field: str,
    sources: Sequence[DataSource],
    arm: ArmSpec,
    base: BaseForChecks | None,
) -> Mixture | None:
    """Rows of all sources; None where one could not be read."""
    counts: list[int | None] = []
    bad_rows = BadRows(arm.data.max_bad_rows)
    for index, source in enumerate(sources):
        count: int | None = None
        with findings.of(f"{field}[{index}].uri"):
            first, count = _read(store, source, bad_rows)
            if base is not None:
                encode = encoder(base.tokenizer, source.format, arm.training.max_length, loss_mask_of(arm))
                _check_rendering(encode, source, first, arm.training.max_length, bad_rows)
        counts.append(count)
    read = [count for count in counts if count is not None]
    return Mixture.of(read, [source.weight for source in sources]) if len(read) == len(sources) else None


def _read(store: ObjectStore, source: DataSource, bad_rows: BadRows) -> tuple[list[PlacedRow], int]:
    """The first rows, and the number of all; every row is parsed and checked on the way."""
    first: list[PlacedRow] = []
    count = 0
    for row in read_placed(store, source, bad_rows):
        count += 1
        if len(first) < RENDERED_ROWS:
            first.append(row)
    return first, count


def _check_rendering(
    encode: Encoder, source: DataSource, rows: Sequence[PlacedRow], max_length: int, bad_rows: BadRows
) -> None:
    usable: list[bool] = []
    for row in rows:
        with bad_rows.left_out():
            usable.append(is_usable(encode_placed(encode, row), max_length))
    if not any(usable):
        raise DataInvalid(
            f"{source.uri}: none of the first {len(rows)} rows has a token to learn within maxLength {max_length}",
            remedy="Raise training.maxLength, or shorten the prompts.",
        )


def _check_early_stopping(training: TrainingSpec, rows: int) -> None:
    steps = total_steps(training, rows)
    if training.early_stopping is not None and training.eval_steps >= steps:
        raise ConfigInvalid(
            f"evalSteps {training.eval_steps} leaves no evaluation before the last of {steps} steps, so that "
            "earlyStopping could never end training",
            remedy=f"Use fewer than {steps}, or remove training.earlyStopping.",
        )


def _check_batch(arm: ArmSpec, rows: int) -> None:
    batch = arm.training.global_batch_size
    if rows < batch:
        raise ConfigInvalid(
            f"globalBatchSize {batch} is larger than the {rows} training rows",
            remedy=f"Use at most {rows}, or add rows.",
        )
