"""spec.preference: alignment with pairs of answers."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from paft_api.model import Model, unavailable
from paft_api.spec.arm import ArmSpec, require_formats
from paft_api.spec.data import DataFormat
from paft_api.spec.training import PreferenceTrainingSpec

_SORTS = (
    "it compares the sorted pairs of each forward pass, so that the result would depend on microBatchSize, packing and "
    "the number of processes; use another type"
)
SMOOTHED = ("exo_pair", "robust")
"""Losses on which labelSmoothing acts."""
OF_THE_DIFFERENCE = ("sigmoid", "hinge", "ipo", "exo_pair", "robust", "discopop", "sft", "sigmoid_norm")
"""Losses to which an f-divergence other than reverse_kl may be given: functions of the difference of two rewards, in
which what the reward leaves open cancels out, and one that has no reward."""


class DpoLoss(Model):
    """One term of the DPO loss, in TRL's terms."""

    type: Annotated[
        Literal[
            "sigmoid",
            "hinge",
            "ipo",
            "exo_pair",
            "nca_pair",
            "robust",
            "bco_pair",
            "sppo_hard",
            "aot",
            "aot_unpaired",
            "apo_zero",
            "apo_down",
            "discopop",
            "sft",
            "sigmoid_norm",
        ],
        unavailable("aot", "aot_unpaired", instead=_SORTS),
    ] = "sigmoid"
    """One of TRL's, each described with its paper in the concept page on preference methods. exo_pair needs
    labelSmoothing; aot and aot_unpaired are refused. Default: sigmoid."""

    weight: Annotated[float, Field(gt=0, le=1000)] = 1.0
    """Factor of this term. Default: 1.0."""


class DpoSpec(Model):
    """Direct preference optimisation, in TRL's terms; the base with its adapter switched off is the reference."""

    beta: Annotated[float, Field(gt=0, le=100)] = 0.1
    """Strength of the pull towards the reference. Default: 0.1."""

    losses: Annotated[tuple[DpoLoss, ...], Field(min_length=1, max_length=13)] = (DpoLoss(),)
    """Terms that are added up; each type once. Default: [{type: sigmoid, weight: 1.0}]."""

    # Below 0.5, as in TRL; but an API server compares 0 with the whole part of an exclusive bound, and would refuse it.
    label_smoothing: Annotated[float, Field(ge=0, le=0.49)] | None = None
    """Share of pairs whose order is taken to be wrong. Default: 0, which exo_pair does not allow; exo_pair and robust
    only."""

    f_divergence_type: Literal["reverse_kl", "forward_kl", "js_divergence", "alpha_divergence"] = "reverse_kl"
    """Divergence from the reference that rewards stand for (arXiv 2309.16240). Others than reverse_kl are for losses of
    the difference of two rewards: sigmoid, hinge, ipo, exo_pair, robust, discopop, sigmoid_norm, and beside them sft.
    Default: reverse_kl."""

    f_alpha_divergence_coef: Annotated[float, Field(ge=0, le=2)] | None = None
    """α of alpha_divergence; 1 is reverse_kl, 0 forward_kl. Default: 0.5; alpha_divergence only."""

    discopop_tau: Annotated[float, Field(gt=0, le=100)] | None = None
    """Temperature by which discopop passes from one of its parts to the other. Default: 0.05; discopop only."""

    @model_validator(mode="after")
    def _types_once(self) -> Self:
        types = self.types
        repeated = next((name for name in types if types.count(name) > 1), None)
        if repeated is not None:
            raise ValueError(f"losses names {repeated} twice; add their weights up in one entry")
        return self

    @model_validator(mode="after")
    def _options_act(self) -> Self:
        for name, value, owners in (
            ("labelSmoothing", self.label_smoothing, SMOOTHED),
            ("discopopTau", self.discopop_tau, ("discopop",)),
        ):
            if value is not None and not set(owners) & set(self.types):
                raise ValueError(f"{name} {value} has no effect without loss {' or '.join(owners)}; remove it")
        if self.f_alpha_divergence_coef is not None and self.f_divergence_type != "alpha_divergence":
            raise ValueError(
                f"fAlphaDivergenceCoef {self.f_alpha_divergence_coef} has no effect with fDivergenceType "
                f"{self.f_divergence_type}; remove it or use alpha_divergence"
            )
        return self

    @model_validator(mode="after")
    def _exo_pair_is_smoothed(self) -> Self:
        if "exo_pair" in self.types and not self.label_smoothing:
            raise ValueError("labelSmoothing must be above 0 with loss exo_pair; use 0.001, as its paper does")
        return self

    @model_validator(mode="after")
    def _divergence_fits(self) -> Self:
        unfit = next((name for name in self.types if name not in OF_THE_DIFFERENCE), None)
        if self.f_divergence_type != "reverse_kl" and unfit is not None:
            raise ValueError(
                f"fDivergenceType {self.f_divergence_type} is not defined for loss {unfit}, which is none of the "
                "difference of two rewards; use reverse_kl, or remove that loss"
            )
        return self

    @property
    def types(self) -> tuple[str, ...]:
        """Of its losses."""
        return tuple(loss.type for loss in self.losses)

    @property
    def resolved_label_smoothing(self) -> float:
        """labelSmoothing with its default worked out."""
        return self.label_smoothing if self.label_smoothing is not None else 0.0

    @property
    def resolved_f_alpha_divergence_coef(self) -> float:
        """fAlphaDivergenceCoef with its default worked out."""
        return self.f_alpha_divergence_coef if self.f_alpha_divergence_coef is not None else 0.5

    @property
    def resolved_discopop_tau(self) -> float:
        """discopopTau with its default worked out."""
        return self.discopop_tau if self.discopop_tau is not None else 0.05

    def resolved(self) -> dict[str, object]:
        """What acts, with defaults worked out: the mathematics of the loss."""
        acting: dict[str, object] = {"beta": self.beta, "losses": [loss.to_document() for loss in self.losses]}
        if set(SMOOTHED) & set(self.types):
            acting["labelSmoothing"] = self.resolved_label_smoothing
        if self.f_divergence_type != "reverse_kl":
            acting["fDivergenceType"] = self.f_divergence_type
        if self.f_divergence_type == "alpha_divergence":
            acting["fAlphaDivergenceCoef"] = self.resolved_f_alpha_divergence_coef
        if "discopop" in self.types:
            acting["discopopTau"] = self.resolved_discopop_tau
        return acting


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
        return self.resolved_dpo.resolved() if self.method == "dpo" else self.resolved_orpo.to_document()
