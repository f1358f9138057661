"""DARE with a weighted sum: entries are dropped at random and the rest is rescaled (arXiv 2311.03099, section 3.2).

Dropping needs the entries' places in the whole tensor and happens before (paft_trainer.merge.dropping). As in mergekit
and PEFT the weights are not divided by their sum.
"""

from paft_trainer.merge.methods.task_arithmetic import task_arithmetic

dare_linear = task_arithmetic
"""Σ wᵢ·τ̂ᵢ. `deltas`: dropped and rescaled, fp32, one shape."""
