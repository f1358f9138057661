"""spec.*.lora: the shape of an adapter, in PEFT's terms."""

from typing import Annotated

from pydantic import Field, StringConstraints

from paft_api.model import Model


class LoraSpec(Model):
    """LoRA (arXiv 2106.09685); ΔW = alpha/r · B·A, or alpha/√r · B·A with rsLoRA (arXiv 2312.03732)."""

    r: Annotated[int, Field(ge=1, le=1024)] = 16
    """Rank. Default: 16."""

    alpha: Annotated[float, Field(gt=0, le=65536)] = 32.0
    """Scale numerator. Default: 32.0."""

    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Probability with which an input of A is dropped while training. Default: 0.0."""

    target_modules: Annotated[
        tuple[Annotated[str, StringConstraints(min_length=1, max_length=256)], ...],
        Field(min_length=1, max_length=64),
    ] = ("all-linear",)
    """Names (suffixes) of the linear modules to adapt. Default: [all-linear], every one but the output head."""

    rslora: bool = False
    """Scale by alpha/√r instead of alpha/r. Default: false."""
