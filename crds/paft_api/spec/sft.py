"""spec.sft: supervised fine-tuning with a penalty that makes the adapter sparse."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from paft_api.model import Model, unavailable
from paft_api.spec.arm import ArmSpec, require_formats
from paft_api.spec.data import DataFormat
from paft_api.spec.training import SftTrainingSpec


class L1Spec(Model):
    """The L1 penalty of PAFT (arXiv 2406.17923, equation 6) on the adapter's factors."""

    mode: Annotated[
        Literal["proximal", "subgradient", "none"], unavailable("subgradient", instead="use proximal or none")
    ] = "proximal"
    """proximal: soft-thresholding in AdamW's own metric, gives exact zeros. none: no penalty.
    subgradient: the penalty in the loss; not available in this version. Default: proximal."""

    lambda_: Annotated[float, Field(alias="lambda", ge=0, le=10)] = 1.0e-4
    """Strength, compared with the clipped gradient of the loss. Default: 1e-4."""

    ramp_fraction: Annotated[float, Field(ge=0, le=1)] = 0.1
    """Share of the steps over which the strength rises from 0. Default: 0.1."""


class SftSpec(ArmSpec):
    """The supervised arm."""

    l1: L1Spec = L1Spec()
    """The sparsity penalty."""

    training: SftTrainingSpec = SftTrainingSpec()
    """Optimisation."""

    @model_validator(mode="after")
    def _formats_fit(self) -> Self:
        require_formats(self.data, (DataFormat.MESSAGES, DataFormat.PROMPT_COMPLETION))
        return self
