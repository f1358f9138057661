"""What both arms check across their blocks."""

from typing import Self

from pydantic import model_validator

from paft_api.model import Model
from paft_api.spec.data import DataFormat, DataSpec
from paft_api.spec.lora import LoraSpec
from paft_api.spec.resources import ArmResources
from paft_api.spec.training import TrainingSpec


class ArmSpec(Model):
    """The blocks that both arms have."""

    data: DataSpec
    """Training and evaluation rows."""

    lora: LoraSpec = LoraSpec()
    """Shape of the adapter."""

    training: TrainingSpec
    """Optimisation."""

    resources: ArmResources = ArmResources()
    """Pods, processes and memory."""

    @model_validator(mode="after")
    def _global_batch_divides(self) -> Self:
        rows_per_pass = self.resources.processes * self.training.micro_batch_size
        if self.training.global_batch_size % rows_per_pass:
            raise ValueError(
                f"training.globalBatchSize {self.training.global_batch_size} is not a multiple of "
                f"{self.resources.processes} processes × microBatchSize {self.training.micro_batch_size} = "
                f"{rows_per_pass}; use {_nearest_multiple(self.training.global_batch_size, rows_per_pass)}"
            )
        return self

    @model_validator(mode="after")
    def _early_stopping_has_rows(self) -> Self:
        if self.training.early_stopping is not None and not self.data.eval:
            raise ValueError("training.earlyStopping needs evaluation rows; add data.eval, or remove earlyStopping")
        return self

    @model_validator(mode="after")
    def _best_has_rows(self) -> Self:
        if self.training.publish == "best" and not self.data.eval:
            raise ValueError("training.publish best needs evaluation rows; add data.eval, or publish last")
        return self


def require_formats(data: DataSpec, allowed: tuple[DataFormat, ...]) -> None:
    """Raises ValueError for the first source whose format the arm cannot train on."""
    for field, sources in (("train", data.train), ("eval", data.eval)):
        for index, source in enumerate(sources):
            if source.format not in allowed:
                names = " or ".join(allowed)
                raise ValueError(
                    f"data.{field}[{index}].format {source.format} cannot be used in this arm; use {names}"
                )


def _nearest_multiple(value: int, step: int) -> int:
    return max(step, (2 * value + step - 1) // (2 * step) * step)
