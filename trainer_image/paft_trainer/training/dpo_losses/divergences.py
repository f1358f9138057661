"""Which divergence from the base the reward is dear for: f-DPO (arXiv 2309.16240), in TRL's terms.

The reward is β·f′(π/π_ref) up to a term of the prompt, which the difference of two answers does not have.
"""

import math

import torch
from torch.nn.functional import logsigmoid

from paft_api.spec.preference import DpoSpec

_LARGEST_EXPONENT = 80.0
"""Beyond it exp leaves fp32; TRL stops there too."""


def scores(log_ratios: torch.Tensor, dpo: DpoSpec) -> torch.Tensor:
    """f′(u) from log u, elementwise."""
    match dpo.f_divergence_type:
        case "reverse_kl":
            return log_ratios
        case "forward_kl":
            return _of_alpha(log_ratios, 0.0)
        case "alpha_divergence":
            return _of_alpha(log_ratios, dpo.resolved_f_alpha_divergence_coef)
        case "js_divergence":
            return math.log(2) + logsigmoid(log_ratios)


def _of_alpha(log_ratios: torch.Tensor, alpha: float) -> torch.Tensor:
    """(u^(α-1) - 1) / (α - 1), whose limit at α = 1 is log u."""
    power = alpha - 1
    if abs(power) < 1e-6:
        return log_ratios
    return torch.expm1((power * log_ratios).clamp(max=_LARGEST_EXPONENT)) / power
