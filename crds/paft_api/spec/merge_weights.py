"""spec.merge.weights: how much of each arm goes into which modules."""

from typing import Annotated, Self

from pydantic import Field, StringConstraints, model_validator

from paft_api.model import Model

Weight = Annotated[float, Field(ge=-10, le=10)]


class WeightAnchor(Model):
    """Weights at one point between the first and the last of some layers."""

    sft: Weight = 1.0
    """Factor of the SFT delta. Default: 1.0."""

    preference: Weight = 1.0
    """Factor of the preference delta. Default: 1.0."""


class LayerRange(Model):
    """Some of the model's layers, numbered from 0 as in their modules' names."""

    first: Annotated[int, Field(ge=0, le=9999)] = 0
    """First layer. Default: 0."""

    last: Annotated[int, Field(ge=0, le=9999)] | None = None
    """Last layer, included. Default: the model's last."""

    @model_validator(mode="after")
    def _is_in_order(self) -> Self:
        if self.last is not None and self.last < self.first:
            raise ValueError(f"last {self.last} comes before first {self.first}; give the lower number to first")
        return self


class ArmWeights(Model):
    """Weight of each arm in the merge, everywhere or in some modules."""

    modules: Annotated[str, StringConstraints(min_length=1, max_length=256)] | None = None
    """Pattern of module names with *, ? and [...], such as *.mlp.*; it must match the whole name. Default: all
    modules."""

    layers: LayerRange | None = None
    """Layers for which this entry holds. Default: all, and modules outside of layers."""

    sft: Weight = 1.0
    """Factor of the SFT delta. Default: 1.0."""

    preference: Weight = 1.0
    """Factor of the preference delta. Default: 1.0."""

    gradient: Annotated[tuple[WeightAnchor, ...], Field(min_length=2, max_length=16)] | None = None
    """In place of sft and preference: weights that change from layer to layer, linearly between these anchors, which
    lie at equal distances from the first to the last layer of this entry. Modules outside of layers get the first
    anchor. Default: the same weights in all layers."""

    @model_validator(mode="after")
    def _gradient_or_numbers(self) -> Self:
        if self.gradient is not None and (self.sft != 1 or self.preference != 1):
            raise ValueError("gradient takes the place of sft and preference; remove either")
        return self

    @property
    def anchors(self) -> tuple[WeightAnchor, ...]:
        """The weights that occur at the ends of its gradient's parts, or its one pair of weights."""
        return self.gradient or (WeightAnchor(sft=self.sft, preference=self.preference),)
