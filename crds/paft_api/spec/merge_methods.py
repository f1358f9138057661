"""The merge methods, and which options act in which of them."""

from collections.abc import Mapping
from enum import StrEnum


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
    DELLA = "della"
    """Drop at random, small entries of a row more often, then elect signs, disjoint mean (arXiv 2406.11617)."""
    BREADCRUMBS = "breadcrumbs"
    """Remove the largest and the smallest entries, then the weighted sum (arXiv 2312.06795)."""
    SLERP = "slerp"
    """From one delta to the other along the arc between them (Shoemake 1985)."""
    SCE = "sce"
    """Select entries in which the arms differ most, weigh arms by what they change, erase minorities
    (arXiv 2408.07990)."""
    MODEL_STOCK = "model_stock"
    """Mean of the deltas, shortened by the angle between them (arXiv 2403.19522)."""
    SFT_ONLY = "sft_only"
    """Control: the SFT delta alone."""
    PREFERENCE_ONLY = "preference_only"
    """Control: the preference delta alone."""


DROPS_AT_RANDOM = frozenset({MergeMethod.DARE_LINEAR, MergeMethod.DARE_TIES, MergeMethod.DELLA})
TRIMS = frozenset({MergeMethod.TIES, MergeMethod.BREADCRUMBS})
ELECTS_SIGNS = frozenset({MergeMethod.TIES, MergeMethod.DARE_TIES, MergeMethod.DELLA})
HAS_ITS_OWN_WEIGHTS = frozenset({MergeMethod.SCE, MergeMethod.MODEL_STOCK})
ONE_ARM = frozenset({MergeMethod.SFT_ONLY, MergeMethod.PREFERENCE_ONLY})

METHODS_WITH: Mapping[str, frozenset[MergeMethod]] = {
    "density": DROPS_AT_RANDOM | TRIMS | {MergeMethod.SCE},
    "density_scope": TRIMS,
    "seed": DROPS_AT_RANDOM,
    "rescale": DROPS_AT_RANDOM,
    "election": ELECTS_SIGNS,
    "normalize": ELECTS_SIGNS,
    "gamma": frozenset({MergeMethod.BREADCRUMBS}),
    "epsilon": frozenset({MergeMethod.DELLA}),
    "whole_weights": frozenset({MergeMethod.SLERP}),
    "balance": frozenset(MergeMethod) - HAS_ITS_OWN_WEIGHTS - ONE_ARM,
}
"""By option: the methods in which it acts. It is refused with others."""
