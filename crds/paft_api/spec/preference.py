"""spec.preference: alignment with pairs of answers."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from paft_api.model import Model
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


class OrpoSpec(Model):
    """Odds ratio preference optimisation (arXiv 2403.07691), in TRL's terms; there is no reference."""

    beta: Annotated[float, Field(gt=0, le=100)] = 0.1
    """Weight of the odds ratio beside the loss on the chosen answers: λ in the paper, beta in TRL. Default: 0.1."""


class PreferenceSpec(ArmSpec):
    """The alignment arm."""

    method: Literal["dpo", "orpo"] = "dpo"
    """dpo: direct preference optimisation, which compares with the base. orpo: odds ratio preference optimisation,
    which learns the chosen answers too, and compares with nothing. Default: dpo."""

    dpo: DpoSpec | None = None
    """Options of DPO, with method dpo only. Default: those of sigmoid."""

    orpo: OrpoSpec | None = None
    """Options of ORPO, with method orpo only. Default: {beta: 0.1}."""

    training: PreferenceTrainingSpec = PreferenceTrainingSpec()
    """Optimisation."""

    @model_validator(mode="after")
    def _formats_fit(self) -> Self:
        require_formats(self.data, (DataFormat.PREFERENCE,))
        return self

    @model_validator(mode="after")
    def _options_are_the_methods(self) -> Self:
        for name, options in (("dpo", self.dpo), ("orpo", self.orpo)):
            if options is not None and name != self.method:
                raise ValueError(f"{name} has no effect with method {self.method}; remove it or use method {name}")
        return self

    @property
    def resolved_dpo(self) -> DpoSpec:
        """dpo with its default worked out."""
        return self.dpo if self.dpo is not None else DpoSpec()

    @property
    def resolved_orpo(self) -> OrpoSpec:
        """orpo with its default worked out."""
        return self.orpo if self.orpo is not None else OrpoSpec()

    def resolved_options(self) -> dict[str, object]:
        """The options of the method, as they act: what the result depends on."""
        return self.resolved_dpo.to_document() if self.method == "dpo" else self.resolved_orpo.to_document()
