"""spec.merge: how the two adapters and the base become one checkpoint."""

import re
from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, StringConstraints, model_validator

from paft_api.model import FolderUri, Model
from paft_api.spec.resources import StageResources


class MergeMethod(StrEnum):
    """How the two ΔW of a module become one."""

    LINEAR = "linear"
    """Weighted mean of the deltas (arXiv 2203.05482): the weights are divided by their sum."""
    TASK_ARITHMETIC = "task_arithmetic"
    """Weighted sum of the deltas (arXiv 2212.04089)."""
    TIES = "ties"
    """Trim, elect signs, disjoint mean (arXiv 2306.01708)."""
    DARE_LINEAR = "dare_linear"
    """Drop at random and rescale, then the weighted sum (arXiv 2311.03099)."""
    DARE_TIES = "dare_ties"
    """Drop at random and rescale, then elect signs, disjoint mean (arXiv 2311.03099)."""
    SLERP = "slerp"
    """From one delta to the other along the arc between them (Shoemake 1985)."""


DROPS_AT_RANDOM = frozenset({MergeMethod.DARE_LINEAR, MergeMethod.DARE_TIES})
"""Methods with a seed."""
KEEPS_A_SHARE = DROPS_AT_RANDOM | {MergeMethod.TIES}
"""Methods with a density."""


class ArmWeights(Model):
    """Weight of each arm in the merge."""

    sft: Annotated[float, Field(ge=-10, le=10)] = 1.0
    """Factor of the SFT delta. Default: 1.0."""

    preference: Annotated[float, Field(ge=-10, le=10)] = 1.0
    """Factor of the preference delta. Default: 1.0."""


class MergeOutput(Model):
    """Where the fused checkpoint goes."""

    uri: FolderUri
    """An empty folder, or one that an earlier run of the same recipe wrote."""

    max_shard_size: Annotated[str, StringConstraints(max_length=16, pattern=r"^[1-9][0-9]*(KB|MB|GB)$")] = "5GB"
    """Largest safetensors file, in decimal units as in transformers. Default: 5GB."""

    @property
    def max_shard_bytes(self) -> int:
        """maxShardSize in bytes."""
        match = re.fullmatch(r"([0-9]+)(KB|MB|GB)", self.max_shard_size)
        assert match is not None
        return int(match[1]) * {"KB": 10**3, "MB": 10**6, "GB": 10**9}[match[2]]


class MergeSpec(Model):
    """The last stage; it needs no GPU."""

    method: MergeMethod = MergeMethod.TIES
    """linear, task_arithmetic, ties, dare_linear, dare_ties or slerp. Default: ties."""

    weights: Annotated[tuple[ArmWeights, ...], Field(min_length=1, max_length=1)] = (ArmWeights(),)
    """Weight of each arm. Default: [{sft: 1.0, preference: 1.0}]."""

    density: Annotated[float, Field(ge=0, le=1)] | None = None
    """Share of each module's ΔW entries that is kept: the largest in magnitude with ties, drawn at random with
    dare_linear and dare_ties. Default: 0.5; these three only."""

    seed: Annotated[int, Field(ge=0, le=4_294_967_295)] | None = None
    """Seed of what dare_linear and dare_ties keep. Default: 0; these two only."""

    output: MergeOutput
    """Where the fused checkpoint goes."""

    resources: StageResources = StageResources()
    """CPU and memory of the merge."""

    @property
    def resolved_density(self) -> float:
        """density with the default worked out."""
        return self.density if self.density is not None else 0.5

    @property
    def resolved_seed(self) -> int:
        """seed with the default worked out."""
        return self.seed if self.seed is not None else 0

    @model_validator(mode="after")
    def _density_is_for_methods_that_keep_a_share(self) -> Self:
        if self.density is not None and self.method not in KEEPS_A_SHARE:
            raise ValueError(
                f"density {self.density} has no effect with method {self.method}; remove it or use method ties"
            )
        return self

    @model_validator(mode="after")
    def _seed_is_for_methods_that_draw(self) -> Self:
        if self.seed is not None and self.method not in DROPS_AT_RANDOM:
            raise ValueError(
                f"seed {self.seed} has no effect with method {self.method}; remove it or use method dare_ties"
            )
        return self

    @model_validator(mode="after")
    def _slerp_weights_are_a_place_between(self) -> Self:
        weights = self.weights[0]
        if self.method is MergeMethod.SLERP and (
            min(weights.sft, weights.preference) < 0 or weights.sft + weights.preference == 0
        ):
            raise ValueError(
                f"weights sft {weights.sft} and preference {weights.preference} are no place between two deltas; "
                "slerp needs weights of which none is negative and one is above 0"
            )
        return self

    @model_validator(mode="after")
    def _linear_weights_have_a_sum(self) -> Self:
        weights = self.weights[0]
        if self.method is MergeMethod.LINEAR and weights.sft + weights.preference == 0:
            raise ValueError(
                f"weights sft {weights.sft} and preference {weights.preference} add up to 0, by which linear "
                "divides; change one of them or use task_arithmetic"
            )
        return self
