"""How two deltas are merged: the method and its options, for the merge itself and for each candidate beside it."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from pydantic.alias_generators import to_camel

from paft_api.model import Model
from paft_api.spec.merge_methods import HAS_ITS_OWN_WEIGHTS, METHODS_WITH, MergeMethod
from paft_api.spec.merge_weights import ArmWeights

_OPTIONS = {field: to_camel(field) for field in METHODS_WITH}


class MergeOptions(Model):
    """Method and options. Options that have no effect with the method are refused."""

    method: MergeMethod = MergeMethod.TIES
    """linear, task_arithmetic, ties, dare_linear, dare_ties, della, breadcrumbs, slerp, sce, model_stock, or one of
    the controls sft_only and preference_only. Default: ties."""

    preset: Literal["paft", "mergekit"] = "paft"
    """Whose definitions hold where tools differ, and whose defaults. mergekit: those of mergekit 0.1.5, to compare
    results. Default: paft."""

    weights: Annotated[tuple[ArmWeights, ...], Field(min_length=1, max_length=32)] = (ArmWeights(),)
    """Weight of each arm. The first entry holds everywhere; of later ones, which name modules or layers, the last one
    that fits a module holds. Default: [{sft: 1.0, preference: 1.0}]."""

    density: Annotated[float, Field(ge=0, le=1)] | None = None
    """Share of ΔW's entries that is kept: the largest in magnitude with ties, those between the largest and the
    smallest with breadcrumbs, drawn at random with dare_linear, dare_ties and della, those of the largest variance
    with sce. Default: 0.5, with preset mergekit 1.0; these methods only."""

    density_scope: Literal["Tensor", "Model"] | None = None
    """Whether the share is that of each module's ΔW, or of all modules together, so that some lose more than others.
    Default: Tensor; ties and breadcrumbs only."""

    seed: Annotated[int, Field(ge=0, le=4_294_967_295)] | None = None
    """Seed of what is dropped at random. Default: 0; dare_linear, dare_ties and della only."""

    rescale: Literal["Density", "Norm", "None"] | None = None
    """What entries that are not dropped are multiplied with. Density: 1 / the probability to stay, which keeps the
    mean. Norm: what keeps the sum of magnitudes of each module. Default: Density, with preset mergekit Norm;
    dare_linear, dare_ties and della only."""

    election: Literal["Weighted", "Unweighted"] | None = None
    """Whether signs are elected by the deltas with or without their weights. Default: Weighted; ties, dare_ties and
    della only."""

    normalize: bool | None = None
    """Whether entries are divided by the weights of the arms that agree, which gives their mean, or added up.
    Default: true, with preset mergekit false for dare_ties; ties, dare_ties and della only."""

    gamma: Annotated[float, Field(ge=0, le=1)] | None = None
    """Share of the largest entries that is removed. Default: 0.01; breadcrumbs only."""

    epsilon: Annotated[float, Field(ge=0, le=0.5)] | None = None
    """How far the probability to stay lies above and below the density, from the largest entry of a row to its
    smallest. Default: 0.1, with preset mergekit 0.15, and less where the density leaves no room; della only."""

    whole_weights: bool | None = None
    """Whether the arc lies between base + delta of either arm, as in mergekit, and not between the deltas. Default:
    false, with preset mergekit true; slerp only."""

    balance: Literal["None", "Tensor", "Model"] | None = None
    """Whether both deltas are made equally long, at the mean of their lengths: in each module, or over all modules
    with one factor per arm. Default: None; not with sce, model_stock and the controls."""

    lambda_: Annotated[float, Field(alias="lambda", ge=-10, le=10)] = 1.0
    """Factor of the merged delta. Default: 1.0."""

    @property
    def is_mergekit(self) -> bool:
        """Whether mergekit's definitions hold."""
        return self.preset == "mergekit"

    @property
    def resolved_density(self) -> float:
        """density with the default worked out."""
        if self.density is not None:
            return self.density
        return 1.0 if self.is_mergekit else 0.5

    @property
    def resolved_seed(self) -> int:
        """seed with the default worked out."""
        return self.seed if self.seed is not None else 0

    @property
    def resolved_epsilon(self) -> float:
        """epsilon with the default worked out."""
        if self.epsilon is not None:
            return self.epsilon
        room = min(self.resolved_density, 1 - self.resolved_density)
        return min(0.15 if self.is_mergekit else 0.1, room)

    def resolved(self) -> dict[str, object]:
        """All options that act, by their names in documents, defaults worked out: what the result depends on."""
        defaults: dict[str, object] = {
            "density": self.resolved_density,
            "density_scope": "Tensor",
            "seed": self.resolved_seed,
            "rescale": "Norm" if self.is_mergekit else "Density",
            "election": "Weighted",
            "normalize": not self.is_mergekit or self.method is not MergeMethod.DARE_TIES,
            "gamma": 0.01,
            "epsilon": self.resolved_epsilon,
            "whole_weights": self.is_mergekit,
            "balance": "None",
        }
        options: dict[str, object] = {"method": self.method.value, "preset": self.preset, "lambda": self.lambda_}
        if self.method not in HAS_ITS_OWN_WEIGHTS:
            options["weights"] = [entry.to_document() for entry in self.weights]
        for field, name in _OPTIONS.items():
            if self.method in METHODS_WITH[field]:
                given = getattr(self, field)
                options[name] = given if given is not None else defaults[field]
        return options

    @model_validator(mode="after")
    def _options_act(self) -> Self:
        for field, name in _OPTIONS.items():
            value = getattr(self, field)
            if value is not None and self.method not in METHODS_WITH[field]:
                shown = str(value).lower() if isinstance(value, bool) else value
                acts_with = " or ".join(sorted(METHODS_WITH[field]))
                raise ValueError(
                    f"{name} {shown} has no effect with method {self.method}; remove it or use {acts_with}"
                )
        return self

    @model_validator(mode="after")
    def _weights_act(self) -> Self:
        if self.method in HAS_ITS_OWN_WEIGHTS and self.weights != (ArmWeights(),):
            raise ValueError(f"weights have no effect with method {self.method}, which finds its own; remove them")
        return self

    @model_validator(mode="after")
    def _first_weights_hold_everywhere(self) -> Self:
        if self.weights[0].modules is not None or self.weights[0].layers is not None:
            raise ValueError(
                "weights[0] must hold everywhere; put an entry without modules and layers before it, such as "
                "{sft: 1.0, preference: 1.0}"
            )
        return self

    @model_validator(mode="after")
    def _epsilon_has_room(self) -> Self:
        if self.method is MergeMethod.DELLA and self.epsilon is not None:
            density = self.resolved_density
            if density - self.epsilon < 0 or density + self.epsilon > 1:
                raise ValueError(
                    f"epsilon {self.epsilon} around density {density} leaves 0 to 1; lower it to at most the smaller "
                    "of density and 1 - density"
                )
        return self

    @model_validator(mode="after")
    def _slerp_weights_are_a_place_between(self) -> Self:
        for index, entry in enumerate(self.weights):
            if self.method is MergeMethod.SLERP and any(
                min(anchor.sft, anchor.preference) < 0 or anchor.sft + anchor.preference == 0
                for anchor in entry.anchors
            ):
                raise ValueError(
                    f"weights[{index}] is no place between two deltas; slerp needs weights of which none is negative "
                    "and one is above 0"
                )
        return self

    @model_validator(mode="after")
    def _linear_weights_have_a_sum(self) -> Self:
        for index, entry in enumerate(self.weights):
            sums = [anchor.sft + anchor.preference for anchor in entry.anchors]
            if self.method is MergeMethod.LINEAR and not (min(sums) > 0 or max(sums) < 0):
                raise ValueError(
                    f"weights[{index}] has a sum that is 0 or becomes 0 between anchors, and linear divides by it; "
                    "give weights whose sum keeps its sign, or use task_arithmetic"
                )
        return self
