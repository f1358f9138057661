"""spec.preference: alignment with pairs of answers."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from paft_api.model import Model, unavailable
from paft_api.spec.arm import ArmSpec, require_formats
from paft_api.spec.data import DataFormat
from paft_api.spec.training import PreferenceTrainingSpec


class DpoLoss(Model):
    """One term of the DPO loss, in TRL's terms."""

    type: Literal["sigmoid", "hinge", "ipo"] = "sigmoid"
    """sigmoid (arXiv 2305.18290), hinge (arXiv 2305.10425) or ipo (arXiv 2310.12036). Default: sigmoid."""

    weight: Annotated[float, Field(gt=0, le=1000)] = 1.0
    """Factor of this term. Default: 1.0."""


class DpoSpec(Model):
    """Direct preference optimisation; the base with its adapter switched off is the reference."""

    beta: Annotated[float, Field(gt=0, le=100)] = 0.1
    """Strength of the pull towards the reference. Default: 0.1."""

    losses: Annotated[tuple[DpoLoss, ...], Field(min_length=1, max_length=3)] = (DpoLoss(),)
    """Terms that are added up; each type once. Default: [{type: sigmoid, weight: 1.0}]."""

    @model_validator(mode="after")
    def _types_once(self) -> Self:
        types = [loss.type for loss in self.losses]
        repeated = next((name for name in types if types.count(name) > 1), None)
        if repeated is not None:
            raise ValueError(f"losses names {repeated} twice; add their weights up in one entry")
        return self


class PreferenceSpec(ArmSpec):
    """The alignment arm."""

    method: Annotated[Literal["dpo", "orpo"], unavailable("orpo", instead="use dpo")] = "dpo"
    """dpo; orpo is not available in this version. Default: dpo."""

    dpo: DpoSpec = DpoSpec()
    """Options of DPO."""

    training: PreferenceTrainingSpec = PreferenceTrainingSpec()
    """Optimisation."""

    @model_validator(mode="after")
    def _formats_fit(self) -> Self:
        require_formats(self.data, (DataFormat.PREFERENCE,))
        return self
