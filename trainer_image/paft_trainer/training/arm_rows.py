"""The rows of an arm: encoded once by all processes together, then read by the one that computes them."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch.distributed as dist
from transformers import PreTrainedTokenizerBase

from paft_api.spec.data import DataFormat, DataSource
from paft_trainer.data.encoded_rows import EncodedRows
from paft_trainer.data.encoding import Encoder, encoder, require_full_batch
from paft_trainer.data.loss_mask import loss_mask_of
from paft_trainer.data.processes import ALONE, Processes
from paft_trainer.data.schedule import total_steps
from paft_trainer.training.arm_session import ArmSession
from paft_trainer.training.batching.examples import ExampleForm


class ArmRows(NamedTuple):
    """`evaluation`: None where no row is left to evaluate."""

    train: EncodedRows
    evaluation: EncodedRows | None


def open_arm_rows(session: ArmSession, tokenizer: PreTrainedTokenizerBase, form: ExampleForm) -> ArmRows:
    """Find and measure all rows of an arm, and work out its steps. Collective. Raises DataInvalid or ConfigInvalid."""
    data, training, mask = session.arm.data, session.arm.training, loss_mask_of(session.arm)

    def encoder_of(format_: DataFormat) -> Encoder:
        return encoder(tokenizer, format_, training.max_length, mask)

    def opened(sources: Sequence[DataSource]) -> EncodedRows:
        return EncodedRows(
            session.store,
            sources,
            encoder_of,
            training.max_length,
            measure=form.size,
            max_bad_rows=data.max_bad_rows,
            processes=_all_processes(),
        )

    train, evaluation = opened(data.train), opened(data.eval)
    require_full_batch(training, data.train, usable=train.mixture.epoch_rows)
    session.total_steps = total_steps(training, train.mixture.epoch_rows)
    warnings = (train.bad_rows.warning("train"), evaluation.bad_rows.warning("eval"))
    session.data_warnings = tuple(warning for warning in warnings if warning is not None)
    return ArmRows(train, evaluation if len(evaluation) else None)


def _all_processes() -> Processes:
    if not dist.is_initialized():
        return ALONE
    return Processes(dist.get_rank(), dist.get_world_size(), _gather)


def _gather(value: Any) -> list[Any]:
    gathered: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(gathered, value)
    return gathered
