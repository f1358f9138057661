"""spec.sft: supervised fine-tuning with a penalty that makes the adapter sparse."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from paft_api.model import Model
from paft_api.spec.arm import ArmSpec, require_formats
from paft_api.spec.data import SFT_FORMATS
from paft_api.spec.training import SftTrainingSpec

DEFAULT_STRENGTH = 1.0e-4
"""λ where neither lambda nor targetSparsity is given."""


class L1Spec(Model):
    """The L1 penalty of PAFT (arXiv 2406.17923, equation 6) on the adapter's factors."""

    mode: Literal["proximal", "subgradient", "none"] = "proximal"
    """proximal: soft-thresholding in AdamW's own metric, gives exact zeros. subgradient: the penalty in the loss, as in
    the paper; gives no exact zeros, and needs lambda. none: no penalty. Default: proximal."""

    lambda_: Annotated[Annotated[float, Field(ge=0, le=10)] | None, Field(alias="lambda")] = None
    """Strength, compared with the gradient of the loss, after clipping with proximal and before it with subgradient.
    Default: 1e-4, where targetSparsity is not given either."""

    target_sparsity: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Share of exact zeros that A and B are each steered to, instead of lambda; with granularity rows the share of B's
    rows. Default: none."""

    granularity: Literal["element", "rows"] = "element"
    """What becomes zero as a whole: single entries, or rows of B, which are rows of ΔW; A has single entries always.
    rows needs mode proximal. Default: element."""

    ramp_fraction: Annotated[float, Field(ge=0, le=1)] | None = None
    """Share of the steps over which the strength, or with targetSparsity the target, rises from 0 in equal steps.
    Default: 0.5 with targetSparsity, 0 with subgradient, else 0.1."""

    @model_validator(mode="after")
    def _lambda_or_target(self) -> Self:
        if self.lambda_ is not None and self.target_sparsity is not None:
            raise ValueError("lambda excludes targetSparsity; remove one of them")
        return self

    @model_validator(mode="after")
    def _subgradient_needs_lambda(self) -> Self:
        if self.mode == "subgradient" and self.lambda_ is None:
            raise ValueError("mode subgradient needs lambda; add it, or use proximal")
        return self

    @model_validator(mode="after")
    def _rows_need_zeros(self) -> Self:
        if self.mode == "subgradient" and self.granularity == "rows":
            raise ValueError("granularity rows needs mode proximal, since subgradient makes no row zero")
        return self

    @property
    def strength(self) -> float:
        """λ where it is constant after its ramp; 0 without a penalty and with a target."""
        if self.mode == "none" or self.target_sparsity is not None:
            return 0.0
        return DEFAULT_STRENGTH if self.lambda_ is None else self.lambda_

    @property
    def ramp(self) -> float:
        """rampFraction, with its default worked out."""
        if self.ramp_fraction is not None:
            return self.ramp_fraction
        if self.target_sparsity is not None:
            return 0.5
        return 0.0 if self.mode == "subgradient" else 0.1

    @property
    def steers_factors(self) -> bool:
        """Whether A and B are treated apart."""
        return self.mode == "proximal" and (self.target_sparsity is not None or self.granularity == "rows")

    def resolved(self) -> dict[str, object]:
        """What acts, with defaults worked out: the mathematics of the penalty."""
        if self.mode == "none":
            return {"mode": self.mode}
        acting: dict[str, object] = {"mode": self.mode, "rampFraction": self.ramp}
        if self.target_sparsity is not None:
            acting["targetSparsity"] = self.target_sparsity
        else:
            acting["lambda"] = self.strength
        if self.granularity == "rows":
            acting["granularity"] = self.granularity
        return acting


class SftSpec(ArmSpec):
    """The supervised arm."""

    l1: L1Spec = L1Spec()
    """The sparsity penalty."""

    training: SftTrainingSpec = SftTrainingSpec()
    """Optimisation."""

    @model_validator(mode="after")
    def _formats_fit(self) -> Self:
        require_formats(self.data, SFT_FORMATS)
        return self
